/// What tests of int8 kernels share: rounding of their own, and values of feature maps one by one.
#pragma once

#include <algorithm>
#include <cmath>

#include "software/support.hpp"

namespace cosoc::test {

struct Memory {
  std::unique_ptr<WallClockPlatform> platform = make_cpu_platform(16 << 20);
  Tensors tensors{platform->memory()};
};

/// Round half to even in integers and doubles, independent of the rounding mode.
inline std::int64_t half_to_even(double value) {
  const double low = std::floor(value);
  const double rest = value - low;
  if (rest != 0.5) return static_cast<std::int64_t>(std::floor(value + 0.5));
  return static_cast<std::int64_t>(std::fmod(low, 2.0) == 0.0 ? low : low + 1);
}

inline std::int8_t rescaled(float value, std::int64_t zero_point, std::int64_t low, std::int64_t high) {
  const double limited = std::clamp(static_cast<double>(value), -2147483648.0, 2147483647.0);
  return static_cast<std::int8_t>(std::clamp(half_to_even(limited) + zero_point, low, high));
}

/// A value of a feature map, or `outside` in the padding.
inline int value_at(const TensorView& view, std::int64_t n, std::int64_t y, std::int64_t x, std::int64_t c,
                    int outside) {
  const auto& shape = view.type->shape;
  if (y < 0 || y >= shape[1] || x < 0 || x >= shape[2]) return outside;
  const auto pitch = static_cast<std::int64_t>(view.type->pixel_pitch());
  return view.as<std::int8_t>()[((n * shape[1] + y) * shape[2] + x) * pitch + c];
}

}  // namespace cosoc::test
