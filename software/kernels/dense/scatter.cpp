/// A copy of a tensor with values at positions along one axis, replaced in order or added.
#include <cstring>

#include "kernels/dense/along_axis.hpp"
#include "kernels/dense/operation.hpp"
#include "kernels/dense/positions.hpp"

namespace cosoc {
namespace dense {
namespace {

class Scatter final : public Operation {
 public:
  Scatter(const nlohmann::json& attributes, std::size_t axis, bool accumulate)
      : Operation("scatter", attributes), axis_(axis), accumulate_(accumulate) {}

  Status check(std::span<const TensorType> inputs, std::span<const TensorType> outputs) const override {
    TypeCheck check(name(), inputs, outputs);
    if (!check.counts(3, 1)) return check.status();
    check_dense(check, inputs[0]);
    check.require(!accumulate_ || inputs[0].dtype != DType::boolean, "bools are not added");
    check_along(check, inputs[0], inputs[1], axis_);
    check.dtype(inputs[2], inputs[0].dtype);
    check.shape(inputs[2], inputs[1].shape);
    check.dtype(outputs[0], inputs[0].dtype);
    check.shape(outputs[0], inputs[0].shape);
    return check.status();
  }

  Status run(std::span<const TensorView> inputs, std::span<const TensorView> outputs) const override {
    const Shape& x = inputs[0].type->shape;
    const auto positions = read_positions(name(), inputs[1], x[axis_]);
    if (!positions) return tl::make_unexpected(positions.error());
    std::memcpy(outputs[0].block.data, inputs[0].block.data, inputs[0].type->dense_bytes());
    with_element(inputs[0].type->dtype, [&]<class T>(T) {
      const T* values = inputs[2].as<T>();
      T* out = outputs[0].as<T>();
      for_each_along(x, inputs[1].type->shape, axis_, *positions, [&](std::int64_t at, std::size_t i) {
        if constexpr (std::is_same_v<T, bool>) {
          out[at] = values[i];
        } else {
          out[at] = accumulate_ ? out[at] + values[i] : values[i];
        }
      });
    });
    return {};
  }

 private:
  std::size_t axis_;
  bool accumulate_;
};

}  // namespace
}  // namespace dense

KernelResult make_scatter(const nlohmann::json& attributes) {
  AttributeReader reader("scatter", attributes);
  const auto axis = static_cast<std::size_t>(reader.integer("axis", 0, 7));
  const bool accumulate = reader.flag("accumulate");
  return dense::finish<dense::Scatter>(reader, attributes, axis, accumulate);
}

}  // namespace cosoc
