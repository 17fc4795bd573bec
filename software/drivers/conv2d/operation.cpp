#include "drivers/conv2d/operation.hpp"

#include <cmath>
#include <nlohmann/json.hpp>

#include "kernels/arithmetic.hpp"
#include "kernels/conv2d.hpp"
#include "kernels/conv_transpose2d.hpp"
#include "kernels/pool.hpp"

namespace cosoc::conv2d {
namespace {

Size size_of(const std::array<std::int64_t, 2>& pair) { return {pair[0], pair[1]}; }

Padding padding_of(const std::array<std::int64_t, 4>& sides) { return {sides[0], sides[1], sides[2], sides[3]}; }

MaxPooling pooling_of(const Window& window) {
  return {size_of(window.kernel), size_of(window.stride), padding_of(window.padding)};
}

/// What all layers have: shape and zero points of the first input and the output.
Layer shaped(const TensorType& input, const TensorType& output) {
  Layer layer;
  layer.images = input.shape[0];
  layer.in = {input.shape[1], input.shape[2]};
  layer.in_channels = input.shape[3];
  layer.out_channels = output.shape[3];
  layer.in_zero_point = input.zero_point;
  layer.out_zero_point = output.zero_point;
  return layer;
}

void set_clamp(Layer& layer, const std::array<std::int16_t, 2>& clamp) {
  layer.clamp_min = clamp[0];
  layer.clamp_max = clamp[1];
}

/// A depthwise convolution whose weights are all 1.
Operation sum_of(const Layer& layer, float multiplier) {
  Operation operation{.layer = layer, .source = Operation::Source::generated, .multiplier = multiplier};
  operation.layer.groups = layer.in_channels;
  const std::int64_t area = layer.kernel.rows * layer.kernel.columns;
  operation.bias = static_cast<std::int32_t>(-layer.in_zero_point * area);
  return operation;
}

/// A residual with the multiplier of its operation.
Residual residual_of(std::int64_t multiplier, const TensorType& type) {
  const int fraction =
      with_activation(type.dtype, []<class Activation>(Activation) { return residual_fraction<Activation>; });
  return {std::ldexp(static_cast<double>(multiplier), -fraction), type.zero_point};
}

Result<Operations> only(const Operation& operation) { return Operations{{operation}, {}}; }

/// A layer of averages over windows, whose sum has this multiplier.
Result<Operation> averages(const Window& window, float multiplier, const std::array<std::int16_t, 2>& clamp,
                           Layer layer) {
  layer.kernel = size_of(window.kernel);
  layer.stride = size_of(window.stride);
  layer.padding = padding_of(window.padding);
  set_clamp(layer, clamp);
  if (multiplier <= 0) return failure("Conv2D averages with multipliers above 0");
  return sum_of(layer, multiplier);
}

Result<Operations> convolution(const Conv2DKernel& kernel, std::span<const TensorType> inputs,
                               const TensorType& output) {
  const Conv2DAttributes attributes = kernel.attributes_for(inputs[1]);
  const TensorType result = kernel.unpooled(inputs, output);
  Operation operation{.layer = shaped(inputs[0], result)};
  Layer& layer = operation.layer;
  layer.kernel = size_of(attributes.window.kernel);
  layer.stride = size_of(attributes.window.stride);
  layer.padding = padding_of(attributes.window.padding);
  layer.dilation = size_of(attributes.window.dilation);
  layer.groups = attributes.groups;
  set_clamp(layer, attributes.clamp);
  if (attributes.residual_multiplier) {
    operation.residual = {Operand::Kind::input, 4};
    layer.residual = residual_of(*attributes.residual_multiplier, inputs[4]);
  }
  if (!attributes.average) {
    if (attributes.pool) layer.pooling = pooling_of(*attributes.pool);
    return only(operation);
  }
  const auto& [multiplier, zero_point, clamp] = *attributes.average;
  auto average = averages(*attributes.pool, multiplier, clamp, shaped(result, output));
  if (!average) return tl::unexpected(average.error());
  operation.out = average->in = {Operand::Kind::temporary, 0};
  return Operations{{operation, *average}, {result.bytes()}};
}

Operation transposed_convolution(const ConvTranspose2DKernel& kernel, std::span<const TensorType> inputs,
                                 const TensorType& output) {
  const Convolution convolution = kernel.convolution_for(inputs[1]);
  Operation operation{.layer = shaped(inputs[0], output)};
  Layer& layer = operation.layer;
  layer.kind = Kind::transposed_convolution;
  layer.kernel = size_of(convolution.window.kernel);
  layer.stride = size_of(convolution.window.stride);
  layer.padding = padding_of(convolution.window.padding);
  layer.dilation = size_of(convolution.window.dilation);
  layer.output_padding = size_of(kernel.output_padding());
  layer.groups = convolution.groups;
  set_clamp(layer, convolution.clamp);
  return operation;
}

Result<Operations> addition(const Kernel& kernel, std::span<const TensorType> inputs, const TensorType& output) {
  const nlohmann::json attributes = kernel.attributes();
  AttributeReader reader(kernel.name(), attributes);
  const auto multipliers = reader.numbers<2>("multipliers");
  Operation operation = sum_of(shaped(inputs[0], output), multipliers[0]);
  set_clamp(operation.layer, reader.clamp());
  const std::int64_t residual = with_activation(
      output.dtype, [&]<class Activation>(Activation) { return residual_multiplier_of<Activation>(multipliers[1]); });
  if (multipliers[0] <= 0 || residual <= 0) return failure("Conv2D adds tensors with multipliers above 0");
  operation.residual = {Operand::Kind::input, 1};
  operation.layer.residual = residual_of(residual, inputs[1]);
  return only(operation);
}

Result<Operations> pooling(const Kernel& kernel, std::span<const TensorType> inputs, const TensorType& output) {
  const nlohmann::json attributes = kernel.attributes();
  AttributeReader reader(kernel.name(), attributes);
  const Window window = read_pool_window(reader);
  Layer layer = shaped(inputs[0], output);
  if (kernel.name() == "max_pool2d") {
    layer.kind = Kind::max_pooling;
    layer.pooling = pooling_of(window);
    return only({.layer = layer, .source = Operation::Source::none});
  }
  const auto clamp = reader.clamp();
  return averages(window, reader.number("multiplier"), clamp, layer).and_then(only);
}

}  // namespace

Result<Operations> operations_of(const Kernel& kernel, std::span<const TensorType> inputs,
                                 std::span<const TensorType> outputs) {
  if (const auto* conv2d = dynamic_cast<const Conv2DKernel*>(&kernel)) return convolution(*conv2d, inputs, outputs[0]);
  if (const auto* transposed = dynamic_cast<const ConvTranspose2DKernel*>(&kernel)) {
    return only(transposed_convolution(*transposed, inputs, outputs[0]));
  }
  if (kernel.name() == "add") return addition(kernel, inputs, outputs[0]);
  if (kernel.name() == "max_pool2d" || kernel.name() == "average_pool2d") return pooling(kernel, inputs, outputs[0]);
  return failure("Conv2D runs conv2d, conv_transpose2d, add, max_pool2d and average_pool2d, not " +
                 std::string(kernel.name()));
}

}  // namespace cosoc::conv2d
