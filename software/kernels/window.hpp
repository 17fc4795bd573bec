/// The sliding window of convolution and pooling.
#pragma once

#include <array>
#include <cstdint>

namespace cosoc {

/// A window over rows (index 0) and columns (index 1) of a feature map.
struct Window {
  std::array<std::int64_t, 2> kernel = {1, 1};
  std::array<std::int64_t, 2> stride = {1, 1};
  std::array<std::int64_t, 4> padding = {};  // top, left, bottom, right
  std::array<std::int64_t, 2> dilation = {1, 1};

  /// Positions of the window along an axis of `extent` elements; 0 when it does not fit.
  std::int64_t positions(std::size_t axis, std::int64_t extent) const {
    const std::int64_t span = (kernel[axis] - 1) * dilation[axis] + 1;
    const std::int64_t room = extent + padding[axis] + padding[axis + 2] - span;
    return room < 0 ? 0 : room / stride[axis] + 1;
  }

  /// Input row or column of the window's first element at an output position; negative in the padding.
  std::int64_t origin(std::size_t axis, std::int64_t position) const { return position * stride[axis] - padding[axis]; }
};

/// Limits of a bundle's attributes; no product of two of them overflows.
inline constexpr std::int64_t max_window_attribute = 65535;

}  // namespace cosoc
