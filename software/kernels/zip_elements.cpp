/// The arithmetic of `zip`, eight complex numbers at a time, for each instruction set from the same source.
///
/// GCC's and Clang's vector extensions; no operation crosses lanes, and none is fused (-ffp-contract=off), so every
/// instruction set gives the same bits: those of gateware/zip/golden.py.
#include <cmath>

#include "kernels/zip.hpp"
#include "kernels/zip_blocks.hpp"

namespace cosoc {
namespace {

using zip_blocks::width;

using Floats [[gnu::vector_size(4 * width)]] = float;
using Words [[gnu::vector_size(4 * width)]] = std::int32_t;
using Doubles [[gnu::vector_size(8 * width)]] = double;
using Longs [[gnu::vector_size(8 * width)]] = std::uint64_t;
using Stored [[gnu::vector_size(4 * width), gnu::aligned(4), gnu::may_alias]] = float;

/// Real and imaginary parts; of a vector of real numbers its first eight and its last eight.
struct FloatBlock {
  Floats re;
  Floats im;
};

[[gnu::always_inline]] inline void make_canonical(Floats& x) {
  constexpr std::int32_t nan = 0x7FC00000;
  const Words is_nan = x != x;
  x = reinterpret_cast<Floats>((is_nan & nan) | (~is_nan & reinterpret_cast<Words>(x)));
}

/// The upper 27 bits of significands.
[[gnu::always_inline]] inline void cut(Doubles& x) {
  x = reinterpret_cast<Doubles>(reinterpret_cast<Longs>(x) & ~std::uint64_t{(1U << 26) - 1});
}

/// |x|^2, squares and sum cut to 27 bits: neither overflows nor vanishes, and with so few bits a quotient by it and its
/// root, rounded to float64, round to float32 as if at once.
[[gnu::always_inline]] inline void wide_norm(Doubles& norm, const FloatBlock& x) {
  Doubles re = __builtin_convertvector(x.re, Doubles);
  Doubles im = __builtin_convertvector(x.im, Doubles);
  re *= re;
  im *= im;
  cut(re);
  cut(im);
  norm = re + im;
  cut(norm);
}

[[gnu::always_inline]] inline void divide(Floats& x, const Doubles& by) {
  x = __builtin_convertvector(__builtin_convertvector(x, Doubles) / by, Floats);
}

/// The complex product, its second factor conjugated or not; every operation is rounded.
[[gnu::always_inline]] inline void multiply(FloatBlock& out, const FloatBlock& a, const FloatBlock& b, bool conjugate) {
  const Floats re_re = a.re * b.re;
  const Floats im_im = a.im * b.im;
  const Floats im_re = a.im * b.re;
  const Floats re_im = a.re * b.im;
  out.re = conjugate ? re_re + im_im : re_re - im_im;
  out.im = conjugate ? im_re - re_im : re_im + im_re;
}

/// One block; results of narrow operations are in `out.re`.
template <ZIPKind kind>
[[gnu::always_inline]] inline void compute(FloatBlock& out, const FloatBlock& a, const FloatBlock& b,
                                           const FloatBlock& c) {
  if constexpr (kind == ZIPKind::add || kind == ZIPKind::real_add) {
    out = {a.re + b.re, a.im + b.im};
  } else if constexpr (kind == ZIPKind::sub || kind == ZIPKind::real_sub) {
    out = {a.re - b.re, a.im - b.im};
  } else if constexpr (kind == ZIPKind::real_mul) {
    out = {a.re * b.re, a.im * b.im};
  } else if constexpr (kind == ZIPKind::real_multiply_add) {
    out = {c.re + a.re * b.re, c.im + a.im * b.im};
  } else if constexpr (kind == ZIPKind::real_div) {
    out = {a.re / b.re, a.im / b.im};
  } else if constexpr (kind == ZIPKind::mul || kind == ZIPKind::conjugate_mul) {
    multiply(out, a, b, kind == ZIPKind::conjugate_mul);
  } else if constexpr (kind == ZIPKind::multiply_add || kind == ZIPKind::conjugate_multiply_add) {
    multiply(out, a, b, kind == ZIPKind::conjugate_multiply_add);
    out = {c.re + out.re, c.im + out.im};
  } else if constexpr (kind == ZIPKind::div) {
    Doubles norm;
    wide_norm(norm, b);
    multiply(out, a, b, true);
    divide(out.re, norm);
    divide(out.im, norm);
  } else if constexpr (kind == ZIPKind::magnitude_squared) {
    out.re = a.re * a.re + a.im * a.im;
    out.im = out.re;
  } else {
    Doubles norm;
    wide_norm(norm, a);
    for (int i = 0; i < width; ++i) norm[i] = std::sqrt(norm[i]);
    out.re = __builtin_convertvector(norm, Floats);
    out.im = out.re;
  }
  make_canonical(out.re);
  make_canonical(out.im);
}

struct FloatArithmetic {
  using Number = float;
  using Operands = ZIPOperands;
  using Block = FloatBlock;

  [[gnu::always_inline]] explicit FloatArithmetic(const Operands&) {}

  // Parts of complex numbers lie in an order that AVX2 makes in one step: its shuffles stay within halves of registers.
  [[gnu::always_inline]] void load(Block& to, const float* from, bool in_order) const {
    const Floats first = *reinterpret_cast<const Stored*>(from);
    const Floats second = *reinterpret_cast<const Stored*>(from + width);
    if (in_order) {
      to = {first, second};
      return;
    }
    to.re = __builtin_shufflevector(first, second, 0, 2, 8, 10, 4, 6, 12, 14);
    to.im = __builtin_shufflevector(first, second, 1, 3, 9, 11, 5, 7, 13, 15);
  }

  [[gnu::always_inline]] void store(float* to, const Block& from, bool in_order) const {
    Block stored = from;
    if (!in_order) {
      stored.re = __builtin_shufflevector(from.re, from.im, 0, 8, 1, 9, 4, 12, 5, 13);
      stored.im = __builtin_shufflevector(from.re, from.im, 2, 10, 3, 11, 6, 14, 7, 15);
    }
    *reinterpret_cast<Stored*>(to) = stored.re;
    *reinterpret_cast<Stored*>(to + width) = stored.im;
  }

  [[gnu::always_inline]] void store_parts(float* to, const Block& from) const {
    *reinterpret_cast<Stored*>(to) = __builtin_shufflevector(from.re, from.re, 0, 1, 4, 5, 2, 3, 6, 7);
  }

  template <ZIPKind kind>
  [[gnu::always_inline]] void compute(Block& out, const Block& a, const Block& b, const Block& c) const {
    cosoc::compute<kind>(out, a, b, c);
  }
};

}  // namespace

void zip_elements(ZIPKind kind, const ZIPOperands& operands) { zip_blocks::repeat<FloatArithmetic>(kind, operands); }

}  // namespace cosoc
