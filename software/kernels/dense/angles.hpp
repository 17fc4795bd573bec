/// Sine, cosine and tangent without branches, as `functions.hpp` has other functions.
#pragma once

#include "kernels/dense/functions.hpp"

namespace cosoc::dense::functions {

/// Beyond it the reduction of angles loses digits.
inline constexpr float largest_angle = 8192.0F;

struct Angle {
  float sine, cosine;  // of the rest
  std::int32_t quarter;
};

[[gnu::always_inline]] inline Angle turn(float x) {
  const float n = rounded(x * 0x1.45f306p-1F);
  const float r = ((x - n * 0x1.92p0F) - n * 0x1.fb4p-12F) - n * 0x1.4442d2p-24F;
  const float z = r * r;
  float s = -1.9515295891E-4F;
  s = s * z + 8.3321608736E-3F;
  s = s * z - 1.6666654611E-1F;
  float c = 2.443315711809948E-005F;
  c = c * z - 1.388731625493765E-003F;
  c = c * z + 4.166664568298827E-002F;
  return {s * z * r + r, c * z * z - 0.5F * z + 1.0F, static_cast<std::int32_t>(n)};
}

[[gnu::always_inline]] inline float sin(float x) {
  const Angle a = turn(x);
  const float value = (a.quarter & 1) != 0 ? a.cosine : a.sine;
  return (a.quarter & 2) != 0 ? -value : value;
}

[[gnu::always_inline]] inline float cos(float x) {
  const Angle a = turn(x);
  const float value = (a.quarter & 1) != 0 ? a.sine : a.cosine;
  return ((a.quarter + 1) & 2) != 0 ? -value : value;
}

[[gnu::always_inline]] inline float tan(float x) {
  const Angle a = turn(x);
  const bool odd = (a.quarter & 1) != 0;
  return (odd ? -a.cosine : a.sine) / (odd ? a.sine : a.cosine);
}

}  // namespace cosoc::dense::functions
