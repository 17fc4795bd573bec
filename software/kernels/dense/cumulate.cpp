/// Sums or products of all elements up to each one, along an axis.
#include "kernels/dense/operation.hpp"

namespace cosoc {
namespace dense {
namespace {

class Cumulate final : public Operation {
 public:
  Cumulate(const nlohmann::json& attributes, bool product, std::size_t axis)
      : Operation("cumulate", attributes), product_(product), axis_(axis) {}

  Status check(std::span<const TensorType> inputs, std::span<const TensorType> outputs) const override {
    TypeCheck check(name(), inputs, outputs);
    if (!check.counts(1, 1)) return check.status();
    check_dense(check, inputs[0]);
    check.require(inputs[0].dtype != DType::boolean, "bools are not added");
    check.dtype(outputs[0], inputs[0].dtype);
    check.shape(outputs[0], inputs[0].shape);
    check.require(axis_ < inputs[0].shape.size(), "axis " + std::to_string(axis_) + " of " + inputs[0].describe());
    return check.status();
  }

  Status run(std::span<const TensorView> inputs, std::span<const TensorView> outputs) const override {
    const AroundAxis axes = around(inputs[0].type->shape, axis_);
    with_element(inputs[0].type->dtype, [&]<class T>(T) {
      if constexpr (!std::is_same_v<T, bool>) {
        using Sum = std::conditional_t<std::is_same_v<T, float>, double, T>;
        for (std::int64_t outer = 0; outer < axes.outer; ++outer) {
          for (std::int64_t inner = 0; inner < axes.inner; ++inner) {
            const std::int64_t first = outer * axes.length * axes.inner + inner;
            const T* in = inputs[0].as<T>() + first;
            T* out = outputs[0].as<T>() + first;
            Sum total = product_ ? Sum(1) : Sum(0);
            for (std::int64_t i = 0; i < axes.length * axes.inner; i += axes.inner) {
              total = product_ ? total * Sum(in[i]) : total + Sum(in[i]);
              out[i] = static_cast<T>(total);
            }
          }
        }
      }
    });
    return {};
  }

 private:
  bool product_;
  std::size_t axis_;
};

}  // namespace
}  // namespace dense

KernelResult make_cumulate(const nlohmann::json& attributes) {
  constexpr std::array<std::string_view, 2> names = {"sum", "prod"};
  AttributeReader reader("cumulate", attributes);
  const bool product = reader.choice("operation", names) == 1;
  const auto axis = static_cast<std::size_t>(reader.integer("axis", 0, 7));
  return dense::finish<dense::Cumulate>(reader, attributes, product, axis);
}

}  // namespace cosoc
