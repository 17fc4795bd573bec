/// Windows over the last one to three axes of (N, C, ..) tensors: convolutions and poolings see three axes always.
#pragma once

#include <array>
#include <cstdint>

#include "kernels/attributes.hpp"
#include "kernels/dense/loops.hpp"

namespace cosoc::dense {

using Axes3 = std::array<std::int64_t, 3>;

/// One to three numbers as those of the last axes; `fill` stands for axes that are not there.
inline Axes3 last_axes(const Shape& values, std::int64_t fill) {
  Axes3 result = {fill, fill, fill};
  const std::size_t count = std::min<std::size_t>(values.size(), 3);
  for (std::size_t i = 0; i < count; ++i) result[3 - count + i] = values[values.size() - count + i];
  return result;
}

inline std::int64_t volume(const Axes3& axes) { return axes[0] * axes[1] * axes[2]; }

/// The spatial axes of an (N, C, ..) shape.
inline Axes3 spatial(const Shape& shape) { return last_axes(Shape(shape.begin() + 2, shape.end()), 1); }

/// How windows lie over an image.
struct Windows {
  std::size_t axes = 0;  // spatial axes of the tensors
  Axes3 stride{1, 1, 1};
  Axes3 padding{0, 0, 0};
  Axes3 dilation{1, 1, 1};
};

/// Largest stride, padding, dilation or kernel.
inline constexpr std::int64_t max_window = std::int64_t{1} << 20;

/// Reads stride, padding and dilation, of as many axes each.
inline Windows read_windows(AttributeReader& reader) {
  const Shape stride = reader.list("stride", 1, max_window, 3);
  const Shape padding = reader.list("padding", 0, max_window, 3);
  const Shape dilation = reader.list("dilation", 1, max_window, 3);
  reader.require(!stride.empty() && padding.size() == stride.size() && dilation.size() == stride.size(),
                 "stride, padding and dilation must have one to three numbers, as many each");
  return {stride.size(), last_axes(stride, 1), last_axes(padding, 0), last_axes(dilation, 1)};
}

}  // namespace cosoc::dense
