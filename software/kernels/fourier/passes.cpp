#include "kernels/fourier/passes.hpp"

#include "kernels/fourier/butterflies.hpp"

namespace cosoc::fourier {
namespace {

/// Butterflies p of the transforms q .. q + count - 1.
template <int radix, int count, bool inverse>
[[gnu::always_inline]] inline void column(const Pass& pass, const Complex* x, Complex* y, std::size_t p,
                                          std::size_t q) {
  const std::size_t butterflies = pass.length / radix;
  Points<radix, count> points;
#pragma GCC unroll 16
  for (int k = 0; k < radix; ++k) load<count>(points[k], x + q + pass.stride * (p + butterflies * k));
  butterfly<radix, count, inverse>(points);
#pragma GCC unroll 16
  for (int k = 1; k < radix; ++k) {
    Vector<count> re;
    Vector<count> im;
    broadcast<count>(re, pass.real + (k - 1) * butterflies + p);
    broadcast<count>(im, pass.imaginary + (k - 1) * butterflies + p);
    multiply<count>(points[k], re, im);
  }
#pragma GCC unroll 16
  for (int k = 0; k < radix; ++k) store<count>(y + q + pass.stride * (radix * p + k), points[k]);
}

/// A pass whose transforms lie side by side: vectors across them.
template <int radix, int count, bool inverse>
[[gnu::always_inline]] inline void columns(const Pass& pass, const Complex* x, Complex* y) {
  for (std::size_t p = 0; p < pass.length / radix; ++p) {
    std::size_t q = 0;
    for (; q + count <= pass.stride; q += count) column<radix, count, inverse>(pass, x, y, p, q);
    for (; q < pass.stride; ++q) column<radix, 1, inverse>(pass, x, y, p, q);
  }
}

/// The last pass has no factors but the scale.
template <int radix, int count, bool inverse>
[[gnu::always_inline]] inline void last_column(const Pass& pass, const Complex* x, Complex* y, std::size_t q) {
  Points<radix, count> points;
#pragma GCC unroll 16
  for (int k = 0; k < radix; ++k) load<count>(points[k], x + q + pass.stride * k);
  butterfly<radix, count, inverse>(points);
#pragma GCC unroll 16
  for (int k = 0; k < radix; ++k) {
    if constexpr (inverse) points[k] = points[k] * pass.scale;
    store<count>(y + q + pass.stride * k, points[k]);
  }
}

template <int radix, int count, bool inverse>
[[gnu::always_inline]] inline void last(const Pass& pass, const Complex* x, Complex* y) {
  std::size_t q = 0;
  for (; q + count <= pass.stride; q += count) last_column<radix, count, inverse>(pass, x, y, q);
  for (; q < pass.stride; ++q) last_column<radix, 1, inverse>(pass, x, y, q);
}

/// Four vectors a, b, c, d to a0 b0 c0 d0, a1 b1 c1 d1, ...
[[gnu::always_inline]] inline void interleave(Vector<2>* x) {
  const Vector<2> ab0 = __builtin_shufflevector(x[0], x[1], 0, 1, 4, 5);
  const Vector<2> cd0 = __builtin_shufflevector(x[2], x[3], 0, 1, 4, 5);
  const Vector<2> ab1 = __builtin_shufflevector(x[0], x[1], 2, 3, 6, 7);
  const Vector<2> cd1 = __builtin_shufflevector(x[2], x[3], 2, 3, 6, 7);
  x[0] = ab0;
  x[1] = cd0;
  x[2] = ab1;
  x[3] = cd1;
}

[[gnu::always_inline]] inline void interleave(Vector<4>* x) {
  const Vector<4> ab_even = __builtin_shufflevector(x[0], x[1], 0, 1, 8, 9, 4, 5, 12, 13);
  const Vector<4> ab_odd = __builtin_shufflevector(x[0], x[1], 2, 3, 10, 11, 6, 7, 14, 15);
  const Vector<4> cd_even = __builtin_shufflevector(x[2], x[3], 0, 1, 8, 9, 4, 5, 12, 13);
  const Vector<4> cd_odd = __builtin_shufflevector(x[2], x[3], 2, 3, 10, 11, 6, 7, 14, 15);
  x[0] = __builtin_shufflevector(ab_even, cd_even, 0, 1, 2, 3, 8, 9, 10, 11);
  x[1] = __builtin_shufflevector(ab_odd, cd_odd, 0, 1, 2, 3, 8, 9, 10, 11);
  x[2] = __builtin_shufflevector(ab_even, cd_even, 4, 5, 6, 7, 12, 13, 14, 15);
  x[3] = __builtin_shufflevector(ab_odd, cd_odd, 4, 5, 6, 7, 12, 13, 14, 15);
}

/// The first pass of a single transform, radix 4 or 8: its stride is 1, so vectors are across butterflies.
template <int radix, int count, bool inverse>
[[gnu::always_inline]] inline void first(const Pass& pass, const Complex* x, Complex* y) {
  const std::size_t butterflies = pass.length / radix;
  std::size_t p = 0;
  for (; p + count <= butterflies; p += count) {
    Points<radix, count> points;
#pragma GCC unroll 16
    for (int k = 0; k < radix; ++k) load<count>(points[k], x + p + butterflies * k);
    butterfly<radix, count, inverse>(points);
#pragma GCC unroll 16
    for (int k = 1; k < radix; ++k) {
      Vector<count> re;
      Vector<count> im;
      load<count>(re, pass.real + (k - 1) * butterflies + p);
      load<count>(im, pass.imaginary + (k - 1) * butterflies + p);
      multiply<count>(points[k], re, im);
    }
#pragma GCC unroll 16
    for (int four = 0; four < radix; four += 4) {
      interleave(&points[four]);
#pragma GCC unroll 16
      for (int piece = 0; piece < 4; ++piece) {
        const int place = piece * count;  // among the 4 * count numbers: butterfly place / 4, point place % 4
        store<count>(y + radix * (p + place / 4) + four + place % 4, points[four + piece]);
      }
    }
  }
  for (; p < butterflies; ++p) column<radix, 1, inverse>(pass, x, y, p, 0);
}

template <int radix, int count, bool inverse>
[[gnu::always_inline]] inline void any(const Pass& pass, const Complex* x, Complex* y) {
  if (pass.length == radix) {
    last<radix, count, inverse>(pass, x, y);
    return;
  }
  if constexpr (radix % 4 == 0) {
    if (pass.stride == 1) return first<radix, count, inverse>(pass, x, y);
  }
  columns<radix, count, inverse>(pass, x, y);
}

template <int count, bool inverse>
[[gnu::always_inline]] inline void with_radix(const Pass& pass, const Complex* x, Complex* y) {
  switch (pass.radix) {
    case 2:
      return any<2, count, inverse>(pass, x, y);
    case 3:
      return any<3, count, inverse>(pass, x, y);
    case 4:
      return any<4, count, inverse>(pass, x, y);
    case 5:
      return any<5, count, inverse>(pass, x, y);
    case 7:
      return any<7, count, inverse>(pass, x, y);
    case 8:
      return any<8, count, inverse>(pass, x, y);
    case 11:
      return any<11, count, inverse>(pass, x, y);
    default:
      return any<13, count, inverse>(pass, x, y);
  }
}

void execute_baseline(const Pass& pass, const Complex* x, Complex* y) {
  pass.inverse ? with_radix<2, true>(pass, x, y) : with_radix<2, false>(pass, x, y);
}

#ifdef __x86_64__
[[gnu::target("avx2")]] void execute_avx2(const Pass& pass, const Complex* x, Complex* y) {
  pass.inverse ? with_radix<4, true>(pass, x, y) : with_radix<4, false>(pass, x, y);
}

InstructionSet best_instruction_set_of_x86() {
  return __builtin_cpu_supports("avx2") ? InstructionSet::avx2 : InstructionSet::baseline;
}
#endif

}  // namespace

#ifdef __x86_64__
InstructionSet best_instruction_set() {
  static const InstructionSet best = best_instruction_set_of_x86();
  return best;
}

void execute(InstructionSet set, const Pass& pass, const Complex* x, Complex* y) {
  set == InstructionSet::avx2 ? execute_avx2(pass, x, y) : execute_baseline(pass, x, y);
}
#else
InstructionSet best_instruction_set() { return InstructionSet::baseline; }

void execute(InstructionSet, const Pass& pass, const Complex* x, Complex* y) { execute_baseline(pass, x, y); }
#endif

}  // namespace cosoc::fourier
