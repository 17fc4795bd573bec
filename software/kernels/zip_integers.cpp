/// The int16 arithmetic in double precision, in which it is exact up to the one rounding at its end.
///
/// Sums of products have 33 bits. A quotient of two of them that rounds within int16 is a tie between two integers or
/// at least 2^-33 away from one, a root at least 2^-19: more than the error of a division or root in double precision,
/// so rounding that to an integer is rounding once.
#include "kernels/zip_integers.hpp"

#include <cmath>

#include "kernels/zip_blocks.hpp"

namespace cosoc {
namespace {

using zip_blocks::width;

using Doubles [[gnu::vector_size(8 * width)]] = double;
using Words [[gnu::vector_size(4 * width)]] = std::int32_t;
using Shorts [[gnu::vector_size(2 * width)]] = std::int16_t;
using Stored [[gnu::vector_size(2 * width), gnu::aligned(2), gnu::may_alias]] = std::int16_t;

struct IntegerBlock {
  Doubles re;
  Doubles im;
};

[[gnu::always_inline]] inline void widen(Doubles& to, const Shorts& from) {
  to = __builtin_convertvector(__builtin_convertvector(from, Words), Doubles);
}

[[gnu::always_inline]] inline void narrow(Shorts& to, const Doubles& from) {
  to = __builtin_convertvector(__builtin_convertvector(from, Words), Shorts);
}

[[gnu::always_inline]] inline void clamp(Doubles& x, double low, double high) {
  x = x < low ? Doubles{} + low : x;
  x = x > high ? Doubles{} + high : x;
}

/// To the nearest integer, the even one of two, where that is below 2^51: the sum has no bits behind the point.
[[gnu::always_inline]] inline void round(Doubles& x) {
  constexpr double no_fraction = 0x1.8p52;
  x = (x + no_fraction) - no_fraction;
}

/// A quotient by zero is infinite, but that of zero is zero.
[[gnu::always_inline]] inline void divide(Doubles& x, const Doubles& by, double scale) {
  x = x == 0.0 ? Doubles{} : x * scale / by;
  // What saturates must not be too large to be rounded.
  clamp(x, 2.0 * INT16_MIN, 2.0 * INT16_MAX);
}

[[gnu::always_inline]] inline void root(Doubles& x) {
  for (int i = 0; i < width; ++i) x[i] = std::sqrt(x[i]);
}

struct IntegerArithmetic {
  using Number = std::int16_t;
  using Operands = IntegerOperands;
  using Block = IntegerBlock;

  [[gnu::always_inline]] explicit IntegerArithmetic(const Operands& operands)
      : left_(static_cast<double>(std::uint64_t{1} << operands.shift)), right_(1 / left_) {}

  [[gnu::always_inline]] void load(Block& to, const std::int16_t* from, bool in_order) const {
    const Shorts first = *reinterpret_cast<const Stored*>(from);
    const Shorts second = *reinterpret_cast<const Stored*>(from + width);
    widen(to.re, in_order ? first : __builtin_shufflevector(first, second, 0, 2, 4, 6, 8, 10, 12, 14));
    widen(to.im, in_order ? second : __builtin_shufflevector(first, second, 1, 3, 5, 7, 9, 11, 13, 15));
  }

  [[gnu::always_inline]] void store(std::int16_t* to, const Block& from, bool in_order) const {
    Shorts re;
    Shorts im;
    narrow(re, from.re);
    narrow(im, from.im);
    const Shorts first = in_order ? re : __builtin_shufflevector(re, im, 0, 8, 1, 9, 2, 10, 3, 11);
    const Shorts second = in_order ? im : __builtin_shufflevector(re, im, 4, 12, 5, 13, 6, 14, 7, 15);
    *reinterpret_cast<Stored*>(to) = first;
    *reinterpret_cast<Stored*>(to + width) = second;
  }

  [[gnu::always_inline]] void store_parts(std::int16_t* to, const Block& from) const {
    Shorts re;
    narrow(re, from.re);
    *reinterpret_cast<Stored*>(to) = re;
  }

  template <ZIPKind kind>
  [[gnu::always_inline]] void compute(Block& out, const Block& a, const Block& b, const Block& c) const {
    exact<kind>(out, a, b);
    if constexpr (kind == ZIPKind::div) {
      const Doubles norm = b.re * b.re + b.im * b.im;
      divide(out.re, norm, left_);
      divide(out.im, norm, left_);
    } else if constexpr (kind == ZIPKind::real_div) {
      divide(out.re, b.re, left_);
      divide(out.im, b.im, left_);
    } else {
      if constexpr (kind == ZIPKind::magnitude) root(out.re);
      out.re *= right_;
      out.im *= right_;
    }
    round(out.re);
    round(out.im);
    if constexpr (operands_of(kind) == 3) {
      out.re += c.re;
      out.im += c.im;
    }
    clamp(out.re, INT16_MIN, INT16_MAX);
    clamp(out.im, INT16_MIN, INT16_MAX);
  }

 private:
  /// Sums of products; of what is divided the numerators, of a magnitude its square.
  template <ZIPKind kind>
  [[gnu::always_inline]] static void exact(Block& out, const Block& a, const Block& b) {
    if constexpr (kind == ZIPKind::add || kind == ZIPKind::real_add) {
      out = {a.re + b.re, a.im + b.im};
    } else if constexpr (kind == ZIPKind::sub || kind == ZIPKind::real_sub) {
      out = {a.re - b.re, a.im - b.im};
    } else if constexpr (kind == ZIPKind::real_mul || kind == ZIPKind::real_multiply_add) {
      out = {a.re * b.re, a.im * b.im};
    } else if constexpr (kind == ZIPKind::real_div) {
      out = a;
    } else if constexpr (is_narrow(kind)) {
      out.re = a.re * a.re + a.im * a.im;
      out.im = Doubles{};
    } else if constexpr (kind == ZIPKind::mul || kind == ZIPKind::multiply_add) {
      out = {a.re * b.re - a.im * b.im, a.im * b.re + a.re * b.im};
    } else {
      out = {a.re * b.re + a.im * b.im, a.im * b.re - a.re * b.im};
    }
  }

  double left_;   // 2^shift
  double right_;  // 2^-shift
};

}  // namespace

void zip_integers(ZIPKind kind, const IntegerOperands& operands) {
  zip_blocks::repeat<IntegerArithmetic>(kind, operands);
}

}  // namespace cosoc
