/// Sums of products as values of an int8 feature map, a pixel at a time: the bits of `requantize` and
/// `requantize_with_residual`, in a form that compilers vectorize.
#pragma once

#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>

#include "kernels/arithmetic.hpp"

namespace cosoc::quantized {

/// What all pixels of an output have in common; arrays by channel.
struct Requantization {
  const std::int32_t* bias = nullptr;
  const float* multiplier = nullptr;
  std::int32_t zero_point = 0;
  std::array<std::int16_t, 2> clamp = {-128, 127};
  std::int64_t residual_multiplier = 0;
  std::int32_t residual_zero_point = 0;
  /// Of a product that a residual is added to, in 2^-16. No constant: the loop would get branches and no vectors.
  double limit = 0x1p31;
};

/// Without a residual. A value is clamped before it is rounded, which is the same because the limits are integers; to
/// add and subtract 1.5 * 2^23 rounds what is small half to even.
[[gnu::always_inline]] inline void requantize(const Requantization& rule, const std::int32_t* sums,
                                              std::size_t channels, std::int8_t* out) {
  constexpr float rounding = 0x1.8p23F;
  const std::int32_t* bias = rule.bias;
  const float* multiplier = rule.multiplier;
  const std::int32_t zero_point = rule.zero_point;
  const auto low = static_cast<float>(rule.clamp[0] - zero_point);
  const auto high = static_cast<float>(rule.clamp[1] - zero_point);
#pragma GCC ivdep
  for (std::size_t i = 0; i < channels; ++i) {
    float value = static_cast<float>(wrapping_add(sums[i], bias[i])) * multiplier[i];
    value = value == value ? value : 0.0F;
    value = value < low ? low : value;
    value = value > high ? high : value;
    out[i] = static_cast<std::int8_t>(static_cast<std::int32_t>((value + rounding) - rounding) + zero_point);
  }
}

/// With a residual. What the product has below 2^-16 counts as a quarter of that: it decides between the same two
/// results, and the sum is exact.
[[gnu::always_inline]] inline void requantize(const Requantization& rule, const std::int32_t* sums,
                                              const std::int8_t* residual, std::size_t channels, std::int8_t* out) {
  constexpr double rounding = 0x1.8p52;
  const double limit = rule.limit;
  const std::int32_t* bias = rule.bias;
  const float* multiplier = rule.multiplier;
  const std::int32_t zero_point = rule.zero_point;
  const double low = rule.clamp[0] - zero_point;
  const double high = rule.clamp[1] - zero_point;
  const auto factor = static_cast<double>(rule.residual_multiplier);
  const std::int32_t from = rule.residual_zero_point;
#pragma GCC ivdep
  for (std::size_t i = 0; i < channels; ++i) {
    float used = multiplier[i];
    used = used < 0x1p-126F ? 0.0F : used;
    const float product = static_cast<float>(wrapping_add(sums[i], bias[i])) * used;
    double scaled = static_cast<double>(product) * 0x1p16;
    scaled = scaled > -limit ? scaled : -limit;
    scaled = scaled < limit ? scaled : limit;
    const double whole = (scaled + rounding) - rounding;
    // 0.25 with the sign of the difference, or zero.
    double rest = (scaled - whole) * 0x1p200;
    rest = rest < -0.25 ? -0.25 : rest;
    rest = rest > 0.25 ? 0.25 : rest;
    double value = (whole + rest + static_cast<double>(residual[i] - from) * factor) * 0x1p-16;
    value = value < low ? low : value;
    value = value > high ? high : value;
    out[i] = static_cast<std::int8_t>(static_cast<std::int32_t>((value + rounding) - rounding) + zero_point);
  }
}

}  // namespace cosoc::quantized
