/// Long short-term memory: gates input, forget, cell, output in PyTorch's order.
#include "kernels/dense/recurrent.hpp"

namespace cosoc {
namespace dense {
namespace {

class LSTM final : public Recurrent {
 public:
  LSTM(const nlohmann::json& attributes, bool reverse) : Recurrent("lstm", attributes, 2, 4, reverse) {}

 private:
  void advance(const float* x, const float* h, std::int64_t hidden, float* state, float* cell) const override {
    for (std::int64_t i = 0; i < hidden; ++i) {
      const auto gate = [&](std::int64_t number) { return x[number * hidden + i] + h[number * hidden + i]; };
      cell[i] = logistic(gate(1)) * cell[i] + logistic(gate(0)) * std::tanh(gate(2));
      state[i] = logistic(gate(3)) * std::tanh(cell[i]);
    }
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
