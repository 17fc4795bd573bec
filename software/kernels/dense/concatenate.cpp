/// Tensors of one dtype, one behind another along an axis.
#include <cstring>

#include "kernels/dense/operation.hpp"

namespace cosoc {
namespace dense {
namespace {

class Concatenate final : public Operation {
 public:
  Concatenate(const nlohmann::json& attributes, std::size_t axis) : Operation("concatenate", attributes), axis_(axis) {}

  Status check(std::span<const TensorType> inputs, std::span<const TensorType> outputs) const override {
    TypeCheck check(name(), inputs, outputs);
    if (!check.counts(std::max<std::size_t>(inputs.size(), 1), 1)) return check.status();
    check_dense(check, inputs[0]);
    check.dtype(outputs[0], inputs[0].dtype);
    check.require(axis_ < inputs[0].shape.size(), "axis " + std::to_string(axis_) + " of " + inputs[0].describe());
    if (!check.good()) return check.status();
    Shape expected = inputs[0].shape;
    for (const TensorType& input : inputs.subspan(1)) {
      check.dtype(input, inputs[0].dtype);
      check.rank(input, {expected.size()});
      if (!check.good()) return check.status();
      Shape like = input.shape;
      like[axis_] = inputs[0].shape[axis_];
      check.require(like == inputs[0].shape, input.describe() + " does not continue " + inputs[0].describe());
      expected[axis_] += input.shape[axis_];
    }
    check.shape(outputs[0], expected);
    return check.status();
  }

  Status run(std::span<const TensorView> inputs, std::span<const TensorView> outputs) const override {
    const std::size_t size = size_of(outputs[0].type->dtype);
    const AroundAxis whole = around(outputs[0].type->shape, axis_);
    const std::size_t pitch = static_cast<std::size_t>(whole.length * whole.inner) * size;
    std::byte* out = outputs[0].block.data;
    for (const TensorView& input : inputs) {
      const std::size_t piece = static_cast<std::size_t>(input.type->shape[axis_] * whole.inner) * size;
      for (std::int64_t i = 0; i < whole.outer; ++i) {
        std::memcpy(out + static_cast<std::size_t>(i) * pitch, input.block.data + static_cast<std::size_t>(i) * piece,
                    piece);
      }
      out += piece;
    }
    return {};
  }

 private:
  std::size_t axis_;
};

}  // namespace
}  // namespace dense

KernelResult make_concatenate(const nlohmann::json& attributes) {
  AttributeReader reader("concatenate", attributes);
  const auto axis = static_cast<std::size_t>(reader.integer("axis", 0, 7));
  return dense::finish<dense::Concatenate>(reader, attributes, axis);
}

}  // namespace cosoc
