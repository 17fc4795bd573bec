#include "kernels/conv2d_rows.hpp"

#include <algorithm>

namespace cosoc {
namespace {

/// Narrows a window's padding to what its positions `output` see of it, and finds the rows of the input that they see.
Rows narrow(Window& window, std::int64_t extent, Rows output) {
  const std::int64_t first = window.origin(0, output.begin);
  const std::int64_t end = window.origin(0, output.end - 1) + (window.kernel[0] - 1) * window.dilation[0] + 1;
  window.padding[0] = std::max<std::int64_t>(0, -first);
  window.padding[2] = std::max<std::int64_t>(0, end - extent);
  return {std::max<std::int64_t>(0, first), std::min(extent, end)};
}

}  // namespace

std::optional<Conv2DRows> make_conv2d_rows(const Conv2DKernel& whole, std::span<const TensorType> inputs,
                                           const TensorType& result, Rows output) {
  Conv2DAttributes attributes = whole.attributes_for(inputs[1]);
  Rows rows = output;
  if (attributes.pool) {
    rows = narrow(*attributes.pool, whole.unpooled(inputs, result).shape[1], rows);
    if (rows.count() <= 0) return std::nullopt;
  }
  const Rows input = narrow(attributes.window, inputs[0].shape[1], rows);
  if (input.count() <= 0) return std::nullopt;
  return Conv2DRows{std::make_shared<const Conv2DKernel>(attributes), input, rows};
}

}  // namespace cosoc
