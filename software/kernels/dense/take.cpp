/// Slices of an axis at positions: the axes of the index stand in the place of that axis.
#include <cstring>

#include "kernels/dense/operation.hpp"
#include "kernels/dense/positions.hpp"

namespace cosoc {
namespace dense {
namespace {

class Take final : public Operation {
 public:
  Take(const nlohmann::json& attributes, std::size_t axis) : Operation("take", attributes), axis_(axis) {}

  Status check(std::span<const TensorType> inputs, std::span<const TensorType> outputs) const override {
    TypeCheck check(name(), inputs, outputs);
    if (!check.counts(2, 1)) return check.status();
    check_dense(check, inputs[0]);
    check.dtype(inputs[1], DType::int64);
    check.dtype(outputs[0], inputs[0].dtype);
    const Shape& x = inputs[0].shape;
    check.require(axis_ < x.size(), "axis " + std::to_string(axis_) + " of " + inputs[0].describe());
    if (!check.good()) return check.status();
    const auto at = x.begin() + static_cast<std::ptrdiff_t>(axis_);
    Shape expected(x.begin(), at);
    expected.insert(expected.end(), inputs[1].shape.begin(), inputs[1].shape.end());
    expected.insert(expected.end(), at + 1, x.end());
    check.shape(outputs[0], expected);
    return check.status();
  }

  Status run(std::span<const TensorView> inputs, std::span<const TensorView> outputs) const override {
    const AroundAxis axes = around(inputs[0].type->shape, axis_);
    const auto positions = read_positions(name(), inputs[1], axes.length);
    if (!positions) return tl::make_unexpected(positions.error());
    const std::size_t bytes = static_cast<std::size_t>(axes.inner) * size_of(inputs[0].type->dtype);
    const std::byte* in = inputs[0].block.data;
    std::byte* out = outputs[0].block.data;
    for (std::int64_t outer = 0; outer < axes.outer; ++outer, in += static_cast<std::size_t>(axes.length) * bytes) {
      for (const std::int64_t position : *positions) {
        std::memcpy(out, in + static_cast<std::size_t>(position) * bytes, bytes);
        out += bytes;
      }
    }
    return {};
  }

  Work work(std::span<const TensorType> inputs, std::span<const TensorType> outputs) const override {
    return {static_cast<std::uint64_t>(outputs[0].elements()), 2 * outputs[0].bytes() + inputs[1].bytes()};
  }

 private:
  std::size_t axis_;
};

}  // namespace
}  // namespace dense

KernelResult make_take(const nlohmann::json& attributes) {
  AttributeReader reader("take", attributes);
  const auto axis = static_cast<std::size_t>(reader.integer("axis", 0, 7));
  return dense::finish<dense::Take>(reader, attributes, axis);
}

}  // namespace cosoc
