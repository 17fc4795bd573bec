/// A copy of a tensor with slices of its first axis replaced, or added to, at positions.
#include <cstring>

#include "kernels/dense/operation.hpp"
#include "kernels/dense/positions.hpp"

namespace cosoc {
namespace dense {
namespace {

class Put final : public Operation {
 public:
  Put(const nlohmann::json& attributes, bool accumulate) : Operation("put", attributes), accumulate_(accumulate) {}

  Status check(std::span<const TensorType> inputs, std::span<const TensorType> outputs) const override {
    TypeCheck check(name(), inputs, outputs);
    if (!check.counts(3, 1)) return check.status();
    check_dense(check, inputs[0]);
    check.require(!accumulate_ || inputs[0].dtype != DType::boolean, "bools are not added");
    check.require(!inputs[0].shape.empty(), "input 0 must have an axis");
    check.dtype(inputs[1], DType::int64);
    check.rank(inputs[1], {1});
    check.dtype(inputs[2], inputs[0].dtype);
    check.dtype(outputs[0], inputs[0].dtype);
    check.shape(outputs[0], inputs[0].shape);
    if (!check.good()) return check.status();
    Shape expected = inputs[0].shape;
    expected[0] = inputs[1].shape[0];
    check.shape(inputs[2], expected);
    return check.status();
  }

  Status run(std::span<const TensorView> inputs, std::span<const TensorView> outputs) const override {
    const Shape& x = inputs[0].type->shape;
    const auto positions = read_positions(name(), inputs[1], x[0]);
    if (!positions) return tl::make_unexpected(positions.error());
    std::memcpy(outputs[0].block.data, inputs[0].block.data, inputs[0].type->dense_bytes());
    const auto length = static_cast<std::size_t>(inputs[0].type->elements() / x[0]);
    with_element(inputs[0].type->dtype, [&]<class T>(T) {
      const T* from = inputs[2].as<T>();
      for (const std::int64_t position : *positions) {
        T* to = outputs[0].as<T>() + static_cast<std::size_t>(position) * length;
        for (std::size_t i = 0; i < length; ++i, ++from) {
          if constexpr (std::is_same_v<T, bool>) {
            to[i] = *from;
          } else {
            to[i] = accumulate_ ? to[i] + *from : *from;
          }
        }
      }
    });
    return {};
  }

 private:
  bool accumulate_;
};

}  // namespace
}  // namespace dense

KernelResult make_put(const nlohmann::json& attributes) {
  AttributeReader reader("put", attributes);
  const bool accumulate = reader.flag("accumulate");
  return dense::finish<dense::Put>(reader, attributes, accumulate);
}

}  // namespace cosoc
