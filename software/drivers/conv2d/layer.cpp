#include "drivers/conv2d/layer.hpp"

#include <cmath>
#include <string>

namespace cosoc::conv2d {
namespace {

/// Positions of windows along one axis; none when the window is larger than the padded input.
std::int64_t windows(std::int64_t extent, std::int64_t around, std::int64_t window, std::int64_t stride) {
  const std::int64_t free = extent + around - window;
  return free < 0 ? 0 : free / stride + 1;
}

std::string in_range(std::string_view what, std::int64_t value, std::int64_t least, std::int64_t most) {
  if (value >= least && value <= most) return {};
  return "a layer with " + std::string(what) + " = " + std::to_string(value) +
         " is not possible; allowed: " + std::to_string(least) + ".." + std::to_string(most);
}

Status check_sizes(const Layer& layer) {
  constexpr std::int64_t large = 1 << 24;
  const bool pointwise_rows = layer.kind == Kind::convolution && layer.kernel.rows == 1;
  const bool pointwise_columns = layer.kind == Kind::convolution && layer.kernel.columns == 1;
  const bool transposed = layer.kind == Kind::transposed_convolution;
  // The strides of a transposed convolution only place its output, those of a kernel of 1 select what is loaded.
  const std::int64_t most_rows = pointwise_rows || transposed ? 255 : 7;
  const std::int64_t most_columns = pointwise_columns || transposed ? 255 : 7;
  for (const std::string& message : {
           in_range("images", layer.images, 1, large),
           in_range("input rows", layer.in.rows, 1, large),
           in_range("input columns", layer.in.columns, 1, large),
           in_range("input channels", layer.in_channels, 1, large),
           in_range("output channels", layer.out_channels, 1, large),
           in_range("kernel rows", layer.kernel.rows, 1, 127),
           in_range("kernel columns", layer.kernel.columns, 1, 127),
           in_range("stride of rows", layer.stride.rows, 1, most_rows),
           in_range("stride of columns", layer.stride.columns, 1, most_columns),
           in_range("dilation of rows * (kernel rows - 1)", layer.dilation.rows * (layer.kernel.rows - 1), 0, 127),
           in_range("dilation of columns * (kernel columns - 1)", layer.dilation.columns * (layer.kernel.columns - 1),
                    0, 127),
           in_range("dilation of rows", layer.dilation.rows, 1, 127),
           in_range("dilation of columns", layer.dilation.columns, 1, 127),
           in_range("padding", layer.padding.top, 0, 255),
           in_range("padding", layer.padding.left, 0, 255),
           in_range("padding", layer.padding.bottom, 0, 255),
           in_range("padding", layer.padding.right, 0, 255),
           in_range("output padding", layer.output_padding.rows, 0, 254),
           in_range("output padding", layer.output_padding.columns, 0, 254),
           in_range("groups", layer.groups, 1, large),
       }) {
    if (!message.empty()) return failure(message);
  }
  if (layer.in_channels % layer.groups != 0 || layer.out_channels % layer.groups != 0) {
    return failure("a layer of " + std::to_string(layer.in_channels) + " input and " +
                   std::to_string(layer.out_channels) + " output channels cannot have " + std::to_string(layer.groups) +
                   " groups: they must divide both");
  }
  return {};
}

Status check_values(const Config& config, const Layer& layer) {
  const std::int64_t most = (std::int64_t{1} << (config.activation_bits - 1)) - 1;
  for (const std::string& message : {
           in_range("input zero point", layer.in_zero_point, -most - 1, most),
           in_range("output zero point", layer.out_zero_point, -most - 1, most),
           in_range("clamp_min", layer.clamp_min, -most - 1, most),
           in_range("clamp_max", layer.clamp_max, layer.clamp_min, most),
       }) {
    if (!message.empty()) return failure(message);
  }
  if (!layer.residual) return {};
  if (const auto message = in_range("residual zero point", layer.residual->zero_point, -most - 1, most);
      !message.empty()) {
    return failure(message);
  }
  const double limit = config.activation_bits == 8 ? 4096 : 16;
  if (!(layer.residual->multiplier >= 0 && layer.residual->multiplier < limit)) {
    return failure("a residual multiplier of " + std::to_string(layer.residual->multiplier) +
                   " is not possible; allowed: from 0 to below " + std::to_string(static_cast<int>(limit)) +
                   " with activations of " + std::to_string(config.activation_bits) + " bits");
  }
  return {};
}

Status check_pooling(const Layer& layer) {
  const MaxPooling& pooling = *layer.pooling;
  const auto& [window, stride, padding] = pooling;
  for (const std::string& message : {
           in_range("pooling window rows", window.rows, 1, 15),
           in_range("pooling window columns", window.columns, 1, 15),
           in_range("pooling stride of rows", stride.rows, 1, 7),
           in_range("pooling stride of columns", stride.columns, 1, 7),
           // A window has at least one position that counts.
           in_range("pooling padding", padding.top, 0, window.rows - 1),
           in_range("pooling padding", padding.bottom, 0, window.rows - 1),
           in_range("pooling padding", padding.left, 0, window.columns - 1),
           in_range("pooling padding", padding.right, 0, window.columns - 1),
       }) {
    if (!message.empty()) return failure(message);
  }
  return {};
}

}  // namespace

Size convolved_size(const Layer& layer) {
  const Padding& padding = layer.padding;
  const Size span = {layer.dilation.rows * (layer.kernel.rows - 1) + 1,
                     layer.dilation.columns * (layer.kernel.columns - 1) + 1};
  switch (layer.kind) {
    case Kind::max_pooling:
      return layer.in;
    case Kind::transposed_convolution:
      return {(layer.in.rows - 1) * layer.stride.rows + span.rows - padding.top - padding.bottom +
                  layer.output_padding.rows,
              (layer.in.columns - 1) * layer.stride.columns + span.columns - padding.left - padding.right +
                  layer.output_padding.columns};
    case Kind::convolution:
      break;
  }
  return {windows(layer.in.rows, padding.top + padding.bottom, span.rows, layer.stride.rows),
          windows(layer.in.columns, padding.left + padding.right, span.columns, layer.stride.columns)};
}

Size output_size(const Layer& layer) {
  const Size convolved = convolved_size(layer);
  if (!layer.pooling) return convolved;
  const auto& [window, stride, padding] = *layer.pooling;
  return {windows(convolved.rows, padding.top + padding.bottom, window.rows, stride.rows),
          windows(convolved.columns, padding.left + padding.right, window.columns, stride.columns)};
}

Status validate(const Config& config, const Layer& layer) {
  if (Status sizes = check_sizes(layer); !sizes) return sizes;
  if (Status values = check_values(config, layer); !values) return values;
  if (layer.pooling) {
    if (layer.kind == Kind::transposed_convolution) {
      return failure("pooling cannot follow a transposed convolution in one layer: give it as a layer of its own");
    }
    if (Status pooling = check_pooling(layer); !pooling) return pooling;
  }
  if (layer.kind == Kind::max_pooling &&
      (!layer.pooling || layer.residual || layer.in_channels != layer.out_channels)) {
    return failure("a layer of maximum pooling needs `pooling`, as many output as input channels, and no residual");
  }
  const Size out = output_size(layer);
  if (out.rows < 1 || out.columns < 1) {
    return failure("the layer has no output: its kernel or its pooling window is larger than the padded input of " +
                   std::to_string(layer.in.rows) + " x " + std::to_string(layer.in.columns) + " pixels");
  }
  return {};
}

}  // namespace cosoc::conv2d
