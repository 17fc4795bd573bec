/// Element by element: along one axis at a position, along the others where the position stands.
#include "kernels/dense/along_axis.hpp"
#include "kernels/dense/operation.hpp"
#include "kernels/dense/positions.hpp"

namespace cosoc {
namespace dense {
namespace {

class Gather final : public Operation {
 public:
  Gather(const nlohmann::json& attributes, std::size_t axis) : Operation("gather", attributes), axis_(axis) {}

  Status check(std::span<const TensorType> inputs, std::span<const TensorType> outputs) const override {
    TypeCheck check(name(), inputs, outputs);
    if (!check.counts(2, 1)) return check.status();
    check_dense(check, inputs[0]);
    check_along(check, inputs[0], inputs[1], axis_);
    check.dtype(outputs[0], inputs[0].dtype);
    check.shape(outputs[0], inputs[1].shape);
    return check.status();
  }

  Status run(std::span<const TensorView> inputs, std::span<const TensorView> outputs) const override {
    const Shape& x = inputs[0].type->shape;
    const auto positions = read_positions(name(), inputs[1], x[axis_]);
    if (!positions) return tl::make_unexpected(positions.error());
    with_element(inputs[0].type->dtype, [&]<class T>(T) {
      const T* in = inputs[0].as<T>();
      T* out = outputs[0].as<T>();
      for_each_along(x, inputs[1].type->shape, axis_, *positions,
                     [&](std::int64_t at, std::size_t i) { out[i] = in[at]; });
    });
    return {};
  }

 private:
  std::size_t axis_;
};

}  // namespace
}  // namespace dense

KernelResult make_gather(const nlohmann::json& attributes) {
  AttributeReader reader("gather", attributes);
  const auto axis = static_cast<std::size_t>(reader.integer("axis", 0, 7));
  return dense::finish<dense::Gather>(reader, attributes, axis);
}

}  // namespace cosoc
