/// Softmax along an axis, or its logarithm.
#include <cmath>
#include <limits>

#include "kernels/dense/operation.hpp"

namespace cosoc {
namespace dense {
namespace {

class Softmax final : public Operation {
 public:
  Softmax(const nlohmann::json& attributes, std::size_t axis, bool logarithm)
      : Operation("softmax", attributes), axis_(axis), logarithm_(logarithm) {}

  Status check(std::span<const TensorType> inputs, std::span<const TensorType> outputs) const override {
    TypeCheck check(name(), inputs, outputs);
    if (!check.counts(1, 1)) return check.status();
    check.dtype(inputs[0], DType::float32);
    check.dtype(outputs[0], DType::float32);
    check.shape(outputs[0], inputs[0].shape);
    check.require(axis_ < std::max<std::size_t>(inputs[0].shape.size(), 1),
                  "axis " + std::to_string(axis_) + " of " + inputs[0].describe());
    return check.status();
  }

  Status run(std::span<const TensorView> inputs, std::span<const TensorView> outputs) const override {
    const AroundAxis axes = around(inputs[0].type->shape, axis_);
    const float* in = inputs[0].as<float>();
    float* out = outputs[0].as<float>();
    for (std::int64_t outer = 0; outer < axes.outer; ++outer) {
      for (std::int64_t inner = 0; inner < axes.inner; ++inner) {
        const std::int64_t first = outer * axes.length * axes.inner + inner;
        along(in + first, out + first, axes.length, axes.inner);
      }
    }
    return {};
  }

  Work work(std::span<const TensorType> inputs, std::span<const TensorType> outputs) const override {
    return {static_cast<std::uint64_t>(inputs[0].elements()), inputs[0].bytes() + outputs[0].bytes(), 0.04};
  }

 private:
  void along(const float* in, float* out, std::int64_t length, std::int64_t step) const {
    float greatest = -std::numeric_limits<float>::infinity();
    for (std::int64_t i = 0; i < length; ++i) greatest = std::max(greatest, in[i * step]);
    double sum = 0.0;
    for (std::int64_t i = 0; i < length; ++i) {
      const float power = std::exp(in[i * step] - greatest);
      out[i * step] = logarithm_ ? in[i * step] - greatest : power;
      sum += power;
    }
    const float total = static_cast<float>(logarithm_ ? std::log(sum) : 1.0 / sum);
    for (std::int64_t i = 0; i < length; ++i) {
      out[i * step] = logarithm_ ? out[i * step] - total : out[i * step] * total;
    }
  }

  std::size_t axis_;
  bool logarithm_;
};

}  // namespace
}  // namespace dense

KernelResult make_softmax(const nlohmann::json& attributes) {
  AttributeReader reader("softmax", attributes);
  const auto axis = static_cast<std::size_t>(reader.integer("axis", 0, 7));
  const bool logarithm = reader.flag("logarithm");
  return dense::finish<dense::Softmax>(reader, attributes, axis, logarithm);
}

}  // namespace cosoc
