/// Long short-term memory: gates input, forget, cell, output in PyTorch's order.
#include "kernels/dense/functions.hpp"
#include "kernels/dense/recurrent.hpp"
#include "kernels/dispatch.hpp"

namespace cosoc {
namespace dense {
namespace {

struct Step {
  const float* x;
  const float* h;
  std::int64_t hidden;
  float* state;
  float* cell;
};

[[gnu::always_inline]] inline void advance_any(const Step& s) {
#pragma GCC ivdep
  for (std::int64_t i = 0; i < s.hidden; ++i) {
    const float in = functions::sigmoid(s.x[i] + s.h[i]);
    const float keep = functions::sigmoid(s.x[s.hidden + i] + s.h[s.hidden + i]);
    const float fresh = functions::tanh(s.x[2 * s.hidden + i] + s.h[2 * s.hidden + i]);
    s.cell[i] = keep * s.cell[i] + in * fresh;
  }
#pragma GCC ivdep
  for (std::int64_t i = 0; i < s.hidden; ++i) {
    const float shown = functions::sigmoid(s.x[3 * s.hidden + i] + s.h[3 * s.hidden + i]);
    s.state[i] = shown * functions::tanh(s.cell[i]);
  }
}

COSOC_DISPATCH(advance_step, advance_any, const Step&)

class LSTM final : public Recurrent {
 public:
  LSTM(const nlohmann::json& attributes, bool reverse) : Recurrent("lstm", attributes, 2, 4, reverse) {}

 private:
  void advance(const float* x, const float* h, std::int64_t hidden, float* state, float* cell) const override {
    advance_step({x, h, hidden, state, cell});
  }
};

}  // namespace
}  // namespace dense

KernelResult make_lstm(const nlohmann::json& attributes) {
  AttributeReader reader("lstm", attributes);
  const bool reverse = reader.flag("reverse");
  return dense::finish<dense::LSTM>(reader, attributes, reverse);
}

}  // namespace cosoc
