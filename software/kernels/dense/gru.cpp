/// Gated recurrent unit: gates reset, update, new in PyTorch's order.
#include "kernels/dense/recurrent.hpp"

namespace cosoc {
namespace dense {
namespace {

class GRU final : public Recurrent {
 public:
  GRU(const nlohmann::json& attributes, bool reverse) : Recurrent("gru", attributes, 1, 3, reverse) {}

 private:
  void advance(const float* x, const float* h, std::int64_t hidden, float* state, float*) const override {
    for (std::int64_t i = 0; i < hidden; ++i) {
      const auto gate = [&](std::int64_t number) { return x[number * hidden + i] + h[number * hidden + i]; };
      const float fresh = std::tanh(x[2 * hidden + i] + logistic(gate(0)) * h[2 * hidden + i]);
      state[i] = (state[i] - fresh) * logistic(gate(1)) + fresh;
    }
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
