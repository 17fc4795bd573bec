/// Complex block floating point: bit for bit what the FFT's pipeline computes in that format.
#pragma once

#include <cstdint>

#include "kernels/arithmetic.hpp"

namespace cosoc::fft {

/// One complex number: two mantissas with one exponent, (re + i im) * 2^(exponent - 125 - mantissa bits).
struct Block {
  std::int64_t re = 0;
  std::int64_t im = 0;
  std::int64_t exponent = 0;
  bool invalid = false;  // comes from an infinity or a NaN
};

/// A factor of magnitude 1, in units of 2^-17.
struct FixedFactor {
  std::int64_t re = 0;
  std::int64_t im = 0;
};

/// Operations on blocks with mantissas of so many bits. Results are shifted by as much as keeps both parts, at most two
/// places to the left, and rounded to nearest even.
class BlockArithmetic {
 public:
  using Number = Block;
  using Factor = FixedFactor;

  explicit BlockArithmetic(std::uint32_t mantissa_bits) : bits_(mantissa_bits) {}

  /// The exponent is that of the larger part.
  Block load(Complex x) const;
  /// x / 2^shift.
  Complex store(const Block& x, std::uint32_t shift) const;
  Block add(const Block& a, const Block& b) const;
  Block subtract(const Block& a, const Block& b) const;
  /// -i (a - b)
  Block subtract_turned(const Block& a, const Block& b) const;
  Block multiply(const Block& x, const FixedFactor& w) const;
  /// Rounded to 18 bits.
  static FixedFactor factor(double re, double im);

 private:
  std::int64_t rounded_part(std::int64_t value, std::int64_t places) const;

  std::int64_t bits_;
};

}  // namespace cosoc::fft
