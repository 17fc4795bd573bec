#include "kernels/conv_transpose2d.hpp"

#include <nlohmann/json.hpp>

#include "kernels/attributes.hpp"
#include "kernels/operations.hpp"

namespace cosoc {

Convolution ConvTranspose2DKernel::convolution_for(const TensorType& weight) const {
  Convolution convolution = convolution_;
  convolution.window.kernel = {weight.shape[1], weight.shape[2]};
  return convolution;
}

nlohmann::json ConvTranspose2DKernel::attributes() const {
  return {{"stride", convolution_.window.stride}, {"padding", convolution_.window.padding},
          {"output_padding", output_padding_},    {"dilation", convolution_.window.dilation},
          {"groups", convolution_.groups},        {"clamp", convolution_.clamp}};
}

Status ConvTranspose2DKernel::check(std::span<const TensorType> inputs, std::span<const TensorType> outputs) const {
  TypeCheck check(name(), inputs, outputs);
  if (!check.counts(4, 1)) return check.status();
  if (!check_convolution(check, convolution_.groups, inputs, outputs[0])) return check.status();
  check.clamp(outputs[0], convolution_.clamp);
  const auto& in = inputs[0].shape;
  const Window window = convolution_for(inputs[1]).window;
  std::array<std::int64_t, 2> extent{};
  for (std::size_t axis = 0; axis < 2; ++axis) {
    // Of an input of less than 2^31 rows and columns no product overflows.
    check.require(in[axis + 1] <= INT32_MAX, "more than 2^31 rows or columns: " + inputs[0].describe());
    if (!check.good()) return check.status();
    extent[axis] = (in[axis + 1] - 1) * window.stride[axis] + (window.kernel[axis] - 1) * window.dilation[axis] + 1 -
                   window.padding[axis] - window.padding[axis + 2] + output_padding_[axis];
  }
  check.require(extent[0] > 0 && extent[1] > 0, "the padding leaves no output of " + inputs[0].describe());
  if (check.good()) check.shape(outputs[0], {in[0], extent[0], extent[1], inputs[1].shape[0]});
  return check.status();
}

Status ConvTranspose2DKernel::run(std::span<const TensorView> inputs, std::span<const TensorView> outputs) const {
  convolve(convolution_for(*inputs[1].type), inputs, outputs[0]);
  return {};
}

Work ConvTranspose2DKernel::work(std::span<const TensorType> inputs, std::span<const TensorType> outputs) const {
  const auto products = static_cast<std::uint64_t>(inputs[1].elements() / inputs[1].shape[0]);
  std::uint64_t bytes = outputs[0].bytes();
  for (const TensorType& input : inputs) bytes += input.bytes();
  return {products * static_cast<std::uint64_t>(outputs[0].elements()), bytes};
}

KernelResult make_conv_transpose2d(const nlohmann::json& json) {
  AttributeReader reader("conv_transpose2d", json);
  Convolution convolution{.transposed = true};
  convolution.window.stride = reader.integers<2>("stride", 1, max_window_attribute);
  convolution.window.padding = reader.integers<4>("padding", 0, max_window_attribute);
  convolution.window.dilation = reader.integers<2>("dilation", 1, max_window_attribute);
  const auto output_padding = reader.integers<2>("output_padding", 0, max_window_attribute);
  convolution.groups = reader.integer("groups", 1, INT32_MAX);
  convolution.clamp = reader.clamp();
  if (auto status = reader.finish(); !status) return tl::unexpected(status.error());
  return std::make_shared<const ConvTranspose2DKernel>(convolution, output_padding);
}

}  // namespace cosoc
