/// Gated recurrent unit: gates reset, update, new in PyTorch's order.
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
};

[[gnu::always_inline]] inline void advance_any(const Step& s) {
#pragma GCC ivdep
  for (std::int64_t i = 0; i < s.hidden; ++i) {
    const float reset = functions::sigmoid(s.x[i] + s.h[i]);
    const float update = functions::sigmoid(s.x[s.hidden + i] + s.h[s.hidden + i]);
    const float fresh = functions::tanh(s.x[2 * s.hidden + i] + reset * s.h[2 * s.hidden + i]);
    s.state[i] = (s.state[i] - fresh) * update + fresh;
  }
}

COSOC_DISPATCH(advance_step, advance_any, const Step&)

class GRU final : public Recurrent {
 public:
  GRU(const nlohmann::json& attributes, bool reverse) : Recurrent("gru", attributes, 1, 3, reverse) {}

 private:
  void advance(const float* x, const float* h, std::int64_t hidden, float* state, float*) const override {
    advance_step({x, h, hidden, state});
  }
};

}  // namespace
}  // namespace dense

KernelResult make_gru(const nlohmann::json& attributes) {
  AttributeReader reader("gru", attributes);
  const bool reverse = reader.flag("reverse");
  return dense::finish<dense::GRU>(reader, attributes, reverse);
}

}  // namespace cosoc
