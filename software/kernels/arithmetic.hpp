/// Integer and float32 arithmetic of the kernels: one definition for CPU kernels and models of accelerators.
///
/// Every float32 operation is rounded to nearest even; compile with -ffp-contract=off.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstdint>

namespace cosoc {

/// Rounds half to even and saturates to int32; NaN becomes 0.
inline std::int32_t round_to_int32(float value) {
  const float rounded = std::nearbyint(value);
  if (std::isnan(rounded)) return 0;
  if (rounded >= 0x1p31F) return INT32_MAX;
  if (rounded < -0x1p31F) return INT32_MIN;
  return static_cast<std::int32_t>(rounded);
}

/// Rounds a value in units of the output's scale, adds the zero point and clamps to limits that an Activation, int8 or
/// int16, can hold.
template <class Activation>
inline Activation to_activation(float value, std::int32_t zero_point, std::array<std::int16_t, 2> clamp) {
  const std::int64_t sum = static_cast<std::int64_t>(round_to_int32(value)) + zero_point;
  return static_cast<Activation>(std::clamp<std::int64_t>(sum, clamp[0], clamp[1]));
}

/// A sum of products, an int32 or an int64, as an output value of a quantized tensor.
template <class Activation, class Sum>
inline Activation requantize(Sum sum, float multiplier, std::int32_t zero_point, std::array<std::int16_t, 2> clamp) {
  return to_activation<Activation>(static_cast<float>(sum) * multiplier, zero_point, clamp);
}

/// Fraction bits of a residual's multiplier: its scale by that of the output.
template <class Activation>
inline constexpr int residual_fraction = sizeof(Activation) == 1 ? 16 : 24;

/// Largest multiplier of a residual: the field of the accelerator's instruction has 28 bits.
inline constexpr std::int64_t max_residual_multiplier = (1 << 28) - 1;

/// The multiplier of a residual, from its scale by that of the output; rounded to nearest.
template <class Activation>
inline std::int64_t residual_multiplier_of(float factor) {
  const double limited = std::clamp(static_cast<double>(factor), -0x1p20, 0x1p20);
  return std::llround(std::ldexp(limited, residual_fraction<Activation>));
}

/// A sum of products as an int8 or int16 output value, with a residual added before the rounding.
///
/// `residual` is (value - its zero point) * its multiplier, `residual_fraction` bits of it behind the point, below
/// 2^46; zero when there is none. It is added exactly to the rounded float32 product; the only rounding after that is
/// to an integer, half to even. `multiplier` is positive and finite; below 2^-126 it counts as zero. Products above
/// 2^15 (int16: 2^31) count as that.
template <class Activation>
inline Activation requantize_with_residual(std::int64_t sum, float multiplier, std::int64_t residual,
                                           std::int32_t zero_point, std::array<std::int16_t, 2> clamp) {
  constexpr int fraction = residual_fraction<Activation>;
  constexpr float limit = sizeof(Activation) == 1 ? 0x1p15F : 0x1p31F;
  float product = multiplier < 0x1p-126F ? 0.0F : static_cast<float>(sum) * multiplier;
  product = product > limit ? limit : product >= -limit ? product : -limit;

  // floor(product * 2^fraction), and whether there is more below: both exact, as a float32 is in double precision.
  const double scaled = static_cast<double>(product) * static_cast<double>(std::int64_t{1} << fraction);
  std::int64_t value = static_cast<std::int64_t>(scaled);
  if (scaled < static_cast<double>(value)) --value;
  const bool sticky = scaled != static_cast<double>(value);

  value += residual;
  const std::int64_t whole = value >> fraction;
  const std::int64_t rest = value - (whole << fraction);
  constexpr std::int64_t half = std::int64_t{1} << (fraction - 1);
  const bool up = rest > half || (rest == half && (sticky || (whole & 1) != 0));
  const std::int64_t result = whole + (up ? 1 : 0) + zero_point;
  return static_cast<Activation>(std::clamp<std::int64_t>(result, clamp[0], clamp[1]));
}

/// Addition modulo 2^32, as accumulators in hardware do it.
inline std::int32_t wrapping_add(std::int32_t a, std::int32_t b) {
  return static_cast<std::int32_t>(static_cast<std::uint32_t>(a) + static_cast<std::uint32_t>(b));
}

/// Every NaN becomes the one with bits 0x7FC00000.
inline float canonical(float value) { return std::isnan(value) ? std::bit_cast<float>(0x7FC00000U) : value; }

/// A complex64 element. Not std::complex, whose operators leave the order of operations to the library.
struct Complex {
  float re = 0.0F;
  float im = 0.0F;
};

inline Complex canonical(Complex a) { return {canonical(a.re), canonical(a.im)}; }

inline Complex operator+(Complex a, Complex b) { return {a.re + b.re, a.im + b.im}; }
inline Complex operator-(Complex a, Complex b) { return {a.re - b.re, a.im - b.im}; }
inline Complex operator*(Complex a, Complex b) { return {a.re * b.re - a.im * b.im, a.re * b.im + a.im * b.re}; }

/// a * conjugate(b)
inline Complex conjugate_product(Complex a, Complex b) {
  return {a.re * b.re + a.im * b.im, a.im * b.re - a.re * b.im};
}

inline float squared_magnitude(Complex a) { return a.re * a.re + a.im * a.im; }

}  // namespace cosoc
