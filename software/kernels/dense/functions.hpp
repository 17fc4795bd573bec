/// float32 mathematics without branches, so that loops over it become vector code. Errors are a few units in the last
/// place; infinities, NaN and signed zeros come out as the C library's.
///
/// Sources: S. Moshier, Cephes Mathematical Library 2.2 (exp, log, atan, tanh, sin, cos); erf is fitted anew.
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>

namespace cosoc::dense::functions {

#define COSOC_INLINE [[gnu::always_inline]] inline

inline constexpr float infinity = std::numeric_limits<float>::infinity();

/// Rounded half to even, for values below 2^22 in magnitude.
COSOC_INLINE float rounded(float x) { return (x + 0x1.8p23F) - 0x1.8p23F; }

/// 2^n for -126 <= n <= 127.
COSOC_INLINE float power_of_two(std::int32_t n) { return std::bit_cast<float>((n + 127) << 23); }

COSOC_INLINE float with_sign(float magnitude, float sign) { return std::copysign(magnitude, sign); }

struct Reduced {
  float power;  // exp(rest) - 1, with a rest of at most ln(2) / 2 in magnitude
  std::int32_t exponent;
};

COSOC_INLINE Reduced with_power(float rest, float exponent) {
  float p = 1.9875691500E-4F;
  p = p * rest + 1.3981999507E-3F;
  p = p * rest + 8.3334519073E-3F;
  p = p * rest + 4.1665795894E-2F;
  p = p * rest + 1.6666665459E-1F;
  p = p * rest + 5.0000001201E-1F;
  return {p * rest * rest + rest, static_cast<std::int32_t>(exponent)};
}

COSOC_INLINE Reduced reduce(float x) {
  x = x < -104.0F ? -104.0F : x;
  x = x > 89.0F ? 89.0F : x;
  const float n = rounded(x * 0x1.715476p0F);
  return with_power((x - n * 0x1.62ep-1F) - n * 0x1.0bfbe8p-15F, n);
}

COSOC_INLINE float whole_power(const Reduced& e) {
  // In two steps, as 2^128 and what is below 2^-126 have no factor of their own.
  const std::int32_t half = e.exponent >> 1;
  return (e.power + 1.0F) * power_of_two(half) * power_of_two(e.exponent - half);
}

COSOC_INLINE float exp(float x) { return whole_power(reduce(x)); }

/// exp(x) for -87 < x < 88.
COSOC_INLINE float middle_exp(float x) {
  const float n = rounded(x * 0x1.715476p0F);
  const Reduced e = with_power((x - n * 0x1.62ep-1F) - n * 0x1.0bfbe8p-15F, n);
  return (e.power + 1.0F) * power_of_two(e.exponent);
}

COSOC_INLINE float exp2(float x) {
  x = x < -151.0F ? -151.0F : x;
  x = x > 129.0F ? 129.0F : x;
  const float n = rounded(x);
  return whole_power(with_power((x - n) * 0x1.62e430p-1F, n));
}

COSOC_INLINE float expm1(float x) {
  const Reduced e = reduce(x);
  const std::int32_t half = e.exponent >> 1;
  const float low = power_of_two(half);
  const float high = power_of_two(e.exponent - half);
  const float large = (e.power + 1.0F) * low * high - 1.0F;
  const float near = e.power * (low * high) + (low * high - 1.0F);
  const float result = e.exponent < 60 ? near : large;
  return x == 0.0F ? x : result;
}

COSOC_INLINE float log(float x) {
  const bool tiny = x < 0x1p-126F;
  const float scaled = tiny ? x * 0x1p23F : x;
  const auto bits = std::bit_cast<std::int32_t>(scaled);
  // The mantissa in [sqrt(1/2), sqrt(2)).
  const std::int32_t shifted = bits - 0x3F3504F3;
  const std::int32_t exponent = shifted >> 23;
  const float m = std::bit_cast<float>((shifted & 0x7FFFFF) + 0x3F3504F3) - 1.0F;
  const float n = static_cast<float>(exponent) - (tiny ? 23.0F : 0.0F);
  const float z = m * m;
  float p = 7.0376836292E-2F;
  p = p * m - 1.1514610310E-1F;
  p = p * m + 1.1676998740E-1F;
  p = p * m - 1.2420140846E-1F;
  p = p * m + 1.4249322787E-1F;
  p = p * m - 1.6668057665E-1F;
  p = p * m + 2.0000714765E-1F;
  p = p * m - 2.4999993993E-1F;
  p = p * m + 3.3333331174E-1F;
  float result = p * m * z + n * -2.12194440E-4F;
  result = result - 0.5F * z + m + n * 0.693359375F;
  result = x == infinity ? infinity : result;
  result = x == 0.0F ? -infinity : result;
  return x >= 0.0F ? result : std::numeric_limits<float>::quiet_NaN();
}

COSOC_INLINE float log1p(float x) {
  const float u = 1.0F + x;
  const float lost = (x - (u - 1.0F)) / u;
  const float result = log(u) + (std::fabs(u) < 0x1p60F && u != 0.0F ? lost : 0.0F);
  return u == 1.0F ? x : result;
}

COSOC_INLINE float sigmoid(float x) { return 1.0F / (1.0F + functions::exp(-x)); }

COSOC_INLINE float tanh(float x) {
  const float z = x * x;
  float p = -5.70498872745E-3F;
  p = p * z + 2.06390887954E-2F;
  p = p * z - 5.37397155531E-2F;
  p = p * z + 1.33314422036E-1F;
  p = p * z - 3.33332819422E-1F;
  const float near = p * z * x + x;
  const float far = with_sign(1.0F - 2.0F / (functions::exp(2.0F * std::fabs(x)) + 1.0F), x);
  return std::fabs(x) < 0.625F ? near : far;
}

/// log(erfc(t)) for 0.92 < t < 4.
COSOC_INLINE float log_erfc(float t) {
  float p = -1.72853470e-5F * t + 3.83197126e-4F;
  p = p * (t * t) + (-3.88396438e-3F * t + 2.42546219e-2F);
  p = p * t - 1.06777877e-1F;
  p = p * t - 6.34846687e-1F;
  p = p * t - 1.28717512e-1F;
  return p * t - t;
}

/// erf(x) for small x.
COSOC_INLINE float near_erf(float x) {
  const float s = x * x;
  float p = -5.96761703e-4F;
  p = p * s + 4.99119423e-3F;
  p = p * s - 2.67681349e-2F;
  p = p * s + 1.12819925e-1F;
  p = p * s - 3.76125336e-1F;
  p = p * s + 1.28379166e-1F;
  return p * x + x;
}

inline constexpr float far_erf = 0.927734375F;

COSOC_INLINE float erf(float x) {
  const float magnitude = std::fabs(x);
  const float t = magnitude > 4.0F ? 4.0F : magnitude;
  const float far = with_sign(1.0F - middle_exp(log_erfc(t)), x);
  const float result = magnitude > far_erf ? far : near_erf(x);
  return x == x ? result : x;
}

/// Its error is relative to 1 where the result is below 2^-26.
COSOC_INLINE float erfc(float x) {
  const float magnitude = std::fabs(x);
  const float t = magnitude > 4.0F ? 4.0F : magnitude;
  float rest = middle_exp(log_erfc(t));
  rest = magnitude > 4.0F ? 0.0F : rest;
  const float far = x < 0.0F ? 2.0F - rest : rest;
  const float result = magnitude > far_erf ? far : 1.0F - near_erf(x);
  return x == x ? result : x;
}

COSOC_INLINE float gelu(float x) { return 0.5F * x * (1.0F + functions::erf(x * 0x1.6a09e6p-1F)); }

COSOC_INLINE float gelu_tanh(float x) {
  return 0.5F * x * (1.0F + functions::tanh(0x1.988454p-1F * (x + 0.044715F * x * x * x)));
}

COSOC_INLINE float silu(float x) { return x / (1.0F + functions::exp(-x)); }

/// x * tanh(log(1 + exp(x))), of which the tanh is a fraction of polynomials of exp(x).
COSOC_INLINE float mish(float x) {
  const float power = functions::exp(x > 20.0F ? 20.0F : x);
  const float above = power * (power + 2.0F);
  return x * (above / (above + 2.0F));
}

COSOC_INLINE float elu(float x, float alpha, float scale, float inner) {
  const float below = functions::expm1(x * inner) * (alpha * scale);
  return x <= 0.0F ? below : x * scale;
}

/// NaN stays NaN: it is neither below nor above.
COSOC_INLINE float clamp(float x, float low, float high) {
  const float raised = x < low ? low : x;
  return raised > high ? high : raised;
}

COSOC_INLINE float sinh(float x) {
  const float magnitude = std::fabs(x);
  // exp of the half twice: no overflow before the result's.
  const float half = functions::exp(0.5F * magnitude);
  const float far = 0.5F * half * half - 0.5F / (half * half);
  const float z = x * x;
  float near = 2.03721912945E-4F;
  near = near * z + 8.33028376239E-3F;
  near = near * z + 1.66667160211E-1F;
  near = near * z * x + x;
  return magnitude > 1.0F ? with_sign(far, x) : near;
}

COSOC_INLINE float cosh(float x) {
  const float half = functions::exp(0.5F * std::fabs(x));
  return 0.5F * half * half + 0.5F / (half * half);
}

COSOC_INLINE float atan(float x) {
  const float magnitude = std::fabs(x);
  const bool far = magnitude > 2.414213562373095F;
  const bool middle = magnitude > 0.4142135623730950F;
  const float top = far ? -1.0F : middle ? magnitude - 1.0F : magnitude;
  const float bottom = far ? magnitude : middle ? magnitude + 1.0F : 1.0F;
  const float start = far ? 0x1.921fb6p0F : middle ? 0x1.921fb6p-1F : 0.0F;
  const float t = top / bottom;
  const float z = t * t;
  float p = 8.05374449538e-2F;
  p = p * z - 1.38776856032E-1F;
  p = p * z + 1.99777106478E-1F;
  p = p * z - 3.33329491539E-1F;
  return with_sign(start + (p * z * t + t), x);
}

COSOC_INLINE float atan2(float y, float x) {
  const float rise = std::fabs(y);
  const float run = std::fabs(x);
  const bool steep = rise > run;
  const float top = steep ? run : rise;
  const float bottom = steep ? rise : run;
  float slope = top / bottom;
  slope = bottom == 0.0F ? 0.0F : slope;
  slope = top == infinity ? 1.0F : slope;
  float angle = functions::atan(slope);
  angle = steep ? 0x1.921fb6p0F - angle : angle;
  angle = std::bit_cast<std::int32_t>(x) < 0 ? 0x1.921fb6p1F - angle : angle;
  return x == x && y == y ? with_sign(angle, y) : x + y;
}

COSOC_INLINE float asin(float x) {
  const float magnitude = std::fabs(x);
  const bool far = magnitude > 0.5F;
  const float z = far ? 0.5F * (1.0F - magnitude) : magnitude * magnitude;
  const float t = far ? std::sqrt(z) : magnitude;
  float p = 4.2163199048E-2F;
  p = p * z + 2.4181311049E-2F;
  p = p * z + 4.5470025998E-2F;
  p = p * z + 7.4953002686E-2F;
  p = p * z + 1.6666752422E-1F;
  const float value = p * z * t + t;
  return with_sign(far ? 0x1.921fb6p0F - 2.0F * value : value, x);
}

COSOC_INLINE float acos(float x) {
  // Near 1 the difference from pi / 2 would lose digits.
  const float half = 2.0F * functions::asin(std::sqrt(0.5F * (1.0F - x)));
  return x > 0.5F ? half : 0x1.921fb6p0F - functions::asin(x);
}

COSOC_INLINE float asinh(float x) {
  const float magnitude = std::fabs(x);
  const float z = magnitude * magnitude;
  const float near = functions::log1p(magnitude + z / (1.0F + std::sqrt(1.0F + z)));
  const float far = functions::log(magnitude) + 0x1.62e430p-1F;
  return with_sign(magnitude < 0x1p30F ? near : far, x);
}

COSOC_INLINE float acosh(float x) {
  const float t = x - 1.0F;
  const float near = functions::log1p(t + std::sqrt(2.0F * t + t * t));
  const float result = x < 0x1p30F ? near : functions::log(x) + 0x1.62e430p-1F;
  return x >= 1.0F ? result : std::numeric_limits<float>::quiet_NaN();
}

COSOC_INLINE float atanh(float x) {
  const float magnitude = std::fabs(x);
  return with_sign(0.5F * functions::log1p(2.0F * magnitude / (1.0F - magnitude)), x);
}

#undef COSOC_INLINE

}  // namespace cosoc::dense::functions
