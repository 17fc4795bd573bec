#include "drivers/fft/block.hpp"

#include <algorithm>
#include <bit>
#include <cmath>

namespace cosoc::fft {
namespace {

constexpr std::int64_t guard_bits = 3;
constexpr std::int64_t factor_fraction_bits = 17;

std::int64_t shifted(std::int64_t value, std::int64_t places) {
  const std::int64_t floor = value >> places;
  if (places == 0) return floor;
  const std::int64_t rest = value - (floor << places);
  const std::int64_t half = std::int64_t{1} << (places - 1);
  return floor + (rest > half || (rest == half && (floor & 1) != 0) ? 1 : 0);
}

bool fits(std::int64_t value, std::int64_t bits) {
  return value >= -(std::int64_t{1} << (bits - 1)) && value < std::int64_t{1} << (bits - 1);
}

bool fits(std::int64_t re, std::int64_t im, std::int64_t bits) { return fits(re, bits) && fits(im, bits); }

/// A mantissa with guard bits, shifted to the right; the last bit is set when anything was lost.
std::int64_t aligned(std::int64_t mantissa, std::int64_t distance) {
  const std::int64_t value = mantissa << guard_bits;
  const std::int64_t places = std::min<std::int64_t>(distance, 62);
  const std::int64_t floor = value >> places;
  return floor | (floor << places != value ? 1 : 0);
}

}  // namespace

/// Rounding can lead to the number above the largest mantissa, which is taken instead.
std::int64_t BlockArithmetic::rounded_part(std::int64_t value, std::int64_t places) const {
  return std::min(shifted(value, places), (std::int64_t{1} << (bits_ - 1)) - 1);
}

Block BlockArithmetic::load(Complex x) const {
  const auto word_re = std::bit_cast<std::uint32_t>(x.re);
  const auto word_im = std::bit_cast<std::uint32_t>(x.im);
  const auto field = [](std::uint32_t word) { return static_cast<std::int64_t>(word >> 23 & 0xFF); };
  const auto exponent_of = [&](std::uint32_t word) { return std::max<std::int64_t>(field(word), 1); };
  const std::int64_t exponent = std::max(exponent_of(word_re), exponent_of(word_im));
  const auto mantissa = [&](std::uint32_t word) {
    const std::int64_t significand = (word & 0x7FFFFF) | (field(word) > 0 ? 1 << 23 : 0);
    const std::int64_t places = std::min<std::int64_t>(exponent - exponent_of(word), 31) + 25 - bits_;
    const std::int64_t magnitude = rounded_part(significand, places);
    return word >> 31 != 0 ? -magnitude : magnitude;
  };
  return {mantissa(word_re), mantissa(word_im), exponent, field(word_re) == 255 || field(word_im) == 255};
}

Complex BlockArithmetic::store(const Block& x, std::uint32_t shift) const {
  const auto part = [&](std::int64_t mantissa) {
    if (x.invalid) return std::bit_cast<float>(0x7FC00000U);
    const auto exponent = static_cast<int>(x.exponent - 125 - bits_ - shift);
    return static_cast<float>(std::ldexp(static_cast<double>(mantissa), exponent));
  };
  return {part(x.re), part(x.im)};
}

Block BlockArithmetic::add(const Block& a, const Block& b) const {
  const std::int64_t exponent = std::max(a.exponent, b.exponent);
  const std::int64_t re = aligned(a.re, exponent - a.exponent) + aligned(b.re, exponent - b.exponent);
  const std::int64_t im = aligned(a.im, exponent - a.exponent) + aligned(b.im, exponent - b.exponent);
  const std::int64_t right = fits(re, im, bits_ + 3) ? 0 : 1;
  const std::int64_t left = (fits(re, im, bits_ + 2) ? 1 : 0) + (fits(re, im, bits_ + 1) ? 1 : 0);
  const std::int64_t places = right + guard_bits - left;
  return {rounded_part(re, places), rounded_part(im, places), exponent + right - left, a.invalid || b.invalid};
}

Block BlockArithmetic::subtract(const Block& a, const Block& b) const {
  return add(a, {-b.re, -b.im, b.exponent, b.invalid});
}

Block BlockArithmetic::subtract_turned(const Block& a, const Block& b) const {
  return add({a.im, -a.re, a.exponent, a.invalid}, {-b.im, b.re, b.exponent, b.invalid});
}

Block BlockArithmetic::multiply(const Block& x, const FixedFactor& w) const {
  const std::int64_t re = x.re * w.re - x.im * w.im;
  const std::int64_t im = x.re * w.im + x.im * w.re;
  const std::int64_t right = fits(re, im, bits_ + factor_fraction_bits) ? 0 : 1;
  const std::int64_t places = factor_fraction_bits + right;
  return {rounded_part(re, places), rounded_part(im, places), x.exponent + right, x.invalid};
}

FixedFactor BlockArithmetic::factor(double re, double im) {
  constexpr double unit = 1 << factor_fraction_bits;
  const auto part = [](double value) {
    return static_cast<std::int64_t>(std::clamp(std::nearbyint(value * unit), -unit, unit - 1));
  };
  return {part(re), part(im)};
}

}  // namespace cosoc::fft
