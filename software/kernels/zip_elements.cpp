/// The arithmetic of `zip`, eight complex numbers at a time, for each instruction set from the same source.
///
/// GCC's and Clang's vector extensions; no operation crosses lanes, and none is fused (-ffp-contract=off), so every
/// instruction set gives the same bits: those of gateware/zip/golden.py.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "kernels/fourier/passes.hpp"
#include "kernels/zip.hpp"

namespace cosoc {
namespace {

constexpr int width = 8;

using Floats [[gnu::vector_size(4 * width)]] = float;
using Words [[gnu::vector_size(4 * width)]] = std::int32_t;
using Doubles [[gnu::vector_size(8 * width)]] = double;
using Longs [[gnu::vector_size(8 * width)]] = std::uint64_t;
using Stored [[gnu::vector_size(4 * width), gnu::aligned(4), gnu::may_alias]] = float;

/// Real and imaginary parts; of a vector of real numbers its first eight and its last eight.
struct Block {
  Floats re;
  Floats im;
};

[[gnu::always_inline]] inline void load(Block& to, const float* from, bool real) {
  const Floats first = *reinterpret_cast<const Stored*>(from);
  const Floats second = *reinterpret_cast<const Stored*>(from + width);
  if (real) {
    to = {first, second};
    return;
  }
  to.re = __builtin_shufflevector(first, second, 0, 2, 4, 6, 8, 10, 12, 14);
  to.im = __builtin_shufflevector(first, second, 1, 3, 5, 7, 9, 11, 13, 15);
}

[[gnu::always_inline]] inline void store(float* to, const Block& from, bool real) {
  Block stored = from;
  if (!real) {
    stored.re = __builtin_shufflevector(from.re, from.im, 0, 8, 1, 9, 2, 10, 3, 11);
    stored.im = __builtin_shufflevector(from.re, from.im, 4, 12, 5, 13, 6, 14, 7, 15);
  }
  *reinterpret_cast<Stored*>(to) = stored.re;
  *reinterpret_cast<Stored*>(to + width) = stored.im;
}

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
[[gnu::always_inline]] inline void wide_norm(Doubles& norm, const Block& x) {
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
[[gnu::always_inline]] inline void multiply(Block& out, const Block& a, const Block& b, bool conjugate) {
  const Floats re_re = a.re * b.re;
  const Floats im_im = a.im * b.im;
  const Floats im_re = a.im * b.re;
  const Floats re_im = a.re * b.im;
  out.re = conjugate ? re_re + im_im : re_re - im_im;
  out.im = conjugate ? im_re - re_im : re_im + im_re;
}

/// One block; results of narrow operations are in `out.re`.
template <ZIPKind kind>
[[gnu::always_inline]] inline void compute(Block& out, const Block& a, const Block& b, const Block& c) {
  if constexpr (kind == ZIPKind::add || kind == ZIPKind::real_add) {
    out = {a.re + b.re, a.im + b.im};
  } else if constexpr (kind == ZIPKind::sub || kind == ZIPKind::real_sub) {
    out = {a.re - b.re, a.im - b.im};
  } else if constexpr (kind == ZIPKind::real_mul) {
    out = {a.re * b.re, a.im * b.im};
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

/// All of one operation. A block's operands are loaded before its result is stored, so `out` may be one of them.
template <ZIPKind kind>
[[gnu::always_inline]] inline void all(const ZIPOperands& operands) {
  constexpr std::size_t numbers = 2 * width;  // of a block
  const std::size_t total = operands.count * (is_real(kind) ? 1 : 2);
  constexpr std::size_t shrink = is_narrow(kind) ? 2 : 1;
  std::array<float, numbers> rest_a{};
  std::array<float, numbers> rest_b{};
  std::array<float, numbers> rest_c{};
  std::array<float, numbers> rest_out;
  for (std::size_t first = 0; first < total; first += numbers) {
    const std::size_t left = std::min(numbers, total - first);
    const bool whole = left == numbers;
    const auto source = [&](const float* operand, std::array<float, numbers>& rest) {
      if (operand == nullptr || whole) return operand == nullptr ? rest.data() : operand + first;
      std::memcpy(rest.data(), operand + first, left * sizeof(float));
      return static_cast<const float*>(rest.data());
    };
    Block a;
    Block b;
    Block c;
    Block out;
    load(a, source(operands.a, rest_a), is_real(kind));
    load(b, source(operands_of(kind) > 1 ? operands.b : nullptr, rest_b), is_real(kind));
    load(c, source(operands_of(kind) > 2 ? operands.c : nullptr, rest_c), is_real(kind));
    compute<kind>(out, a, b, c);
    float* const target = whole ? operands.out + first / shrink : rest_out.data();
    if (is_narrow(kind)) {
      *reinterpret_cast<Stored*>(target) = out.re;
    } else {
      store(target, out, is_real(kind));
    }
    if (!whole) std::memcpy(operands.out + first / shrink, rest_out.data(), left / shrink * sizeof(float));
  }
}

[[gnu::always_inline]] inline void any(ZIPKind kind, const ZIPOperands& operands) {
  switch (kind) {
    case ZIPKind::add:
      return all<ZIPKind::add>(operands);
    case ZIPKind::sub:
      return all<ZIPKind::sub>(operands);
    case ZIPKind::mul:
      return all<ZIPKind::mul>(operands);
    case ZIPKind::div:
      return all<ZIPKind::div>(operands);
    case ZIPKind::conjugate_mul:
      return all<ZIPKind::conjugate_mul>(operands);
    case ZIPKind::multiply_add:
      return all<ZIPKind::multiply_add>(operands);
    case ZIPKind::conjugate_multiply_add:
      return all<ZIPKind::conjugate_multiply_add>(operands);
    case ZIPKind::magnitude_squared:
      return all<ZIPKind::magnitude_squared>(operands);
    case ZIPKind::magnitude:
      return all<ZIPKind::magnitude>(operands);
    case ZIPKind::real_add:
      return all<ZIPKind::real_add>(operands);
    case ZIPKind::real_sub:
      return all<ZIPKind::real_sub>(operands);
    case ZIPKind::real_mul:
      return all<ZIPKind::real_mul>(operands);
    case ZIPKind::real_div:
      return all<ZIPKind::real_div>(operands);
  }
}

void execute_baseline(ZIPKind kind, const ZIPOperands& operands) { any(kind, operands); }

#ifdef __x86_64__
[[gnu::target("avx2")]] void execute_avx2(ZIPKind kind, const ZIPOperands& operands) { any(kind, operands); }

void execute(ZIPKind kind, const ZIPOperands& operands) {
  const bool avx2 = fourier::best_instruction_set() == fourier::InstructionSet::avx2;
  avx2 ? execute_avx2(kind, operands) : execute_baseline(kind, operands);
}
#else
void execute(ZIPKind kind, const ZIPOperands& operands) { execute_baseline(kind, operands); }
#endif

}  // namespace

void zip_elements(ZIPKind kind, const ZIPOperands& operands) {
  if (operands_of(kind) == 1 || operands.b_count >= operands.count) return execute(kind, operands);
  // A short vector becomes one of at least this many elements, so that the loops over it are long.
  constexpr std::size_t long_enough = 256;
  const std::size_t parts = is_real(kind) ? 1 : 2;
  std::vector<float> repeated;
  std::size_t length = operands.b_count;
  if (length < long_enough) {
    length *= (long_enough + length - 1) / length;
    repeated.reserve(length * parts);
    for (std::size_t i = 0; i < length * parts; ++i) repeated.push_back(operands.b[i % (operands.b_count * parts)]);
  }
  const float* const b = repeated.empty() ? operands.b : repeated.data();
  for (std::size_t first = 0; first < operands.count; first += length) {
    const std::size_t offset = first * parts;
    execute(kind, {.a = operands.a + offset,
                   .b = b,
                   .c = operands.c == nullptr ? nullptr : operands.c + offset,
                   .out = operands.out + offset,
                   .count = std::min(length, operands.count - first),
                   .b_count = length});
  }
}

}  // namespace cosoc
