/// Element-wise operations on blocks of sixteen numbers, eight complex ones, for each instruction set from the same
/// source: GCC's and Clang's vector extensions.
///
/// An arithmetic says what a block is and what is computed on it:
///
///     using Number = float;            // as they lie in memory
///     using Operands = ZIPOperands;    // vectors of them
///     struct Block;                    // real and imaginary parts; of real numbers the first eight and the last eight
///     explicit Arithmetic(const Operands&);
///     void load(Block& to, const Number* from, bool in_order) const;    // the first eight and the last eight
///     void store(Number* to, const Block& from, bool in_order) const;
///     void store_parts(Number* to, const Block& from) const;             // the real parts alone
///     template <ZIPKind kind> void compute(Block& out, const Block& a, const Block& b, const Block& c) const;
#pragma once

#include <algorithm>
#include <cstring>
#include <vector>

#include "kernels/fourier/passes.hpp"
#include "kernels/zip.hpp"

namespace cosoc::zip_blocks {

inline constexpr int width = 8;

/// All of one operation. A block's operands are loaded before its result is stored, so `out` may be one of them.
template <class Arithmetic, ZIPKind kind>
[[gnu::always_inline]] inline void all(const typename Arithmetic::Operands& operands) {
  using Number = typename Arithmetic::Number;
  using Block = typename Arithmetic::Block;
  constexpr std::size_t numbers = 2 * width;  // of a block
  const Arithmetic arithmetic(operands);
  const std::size_t total = operands.count * (is_real(kind) ? 1 : 2);
  // A sum of complex numbers is one of twice as many real ones.
  constexpr bool in_order = is_real(kind) || kind == ZIPKind::add || kind == ZIPKind::sub;
  constexpr std::size_t shrink = is_narrow(kind) ? 2 : 1;
  std::array<Number, numbers> rest_a{};
  std::array<Number, numbers> rest_b{};
  std::array<Number, numbers> rest_c{};
  std::array<Number, numbers> rest_out;
  for (std::size_t first = 0; first < total; first += numbers) {
    const std::size_t left = std::min(numbers, total - first);
    const bool whole = left == numbers;
    const auto source = [&](const Number* operand, std::array<Number, numbers>& rest) {
      if (operand == nullptr || whole) return operand == nullptr ? rest.data() : operand + first;
      std::memcpy(rest.data(), operand + first, left * sizeof(Number));
      return static_cast<const Number*>(rest.data());
    };
    Block a;
    Block b;
    Block c;
    Block out;
    arithmetic.load(a, source(operands.a, rest_a), in_order);
    arithmetic.load(b, source(operands_of(kind) > 1 ? operands.b : nullptr, rest_b), in_order);
    arithmetic.load(c, source(operands_of(kind) > 2 ? operands.c : nullptr, rest_c), in_order);
    arithmetic.template compute<kind>(out, a, b, c);
    Number* const target = whole ? operands.out + first / shrink : rest_out.data();
    if (is_narrow(kind)) {
      arithmetic.store_parts(target, out);
    } else {
      arithmetic.store(target, out, in_order);
    }
    if (!whole) std::memcpy(operands.out + first / shrink, rest_out.data(), left / shrink * sizeof(Number));
  }
}

template <class Arithmetic>
[[gnu::always_inline]] inline void any(ZIPKind kind, const typename Arithmetic::Operands& operands) {
  switch (kind) {
    case ZIPKind::add:
      return all<Arithmetic, ZIPKind::add>(operands);
    case ZIPKind::sub:
      return all<Arithmetic, ZIPKind::sub>(operands);
    case ZIPKind::mul:
      return all<Arithmetic, ZIPKind::mul>(operands);
    case ZIPKind::div:
      return all<Arithmetic, ZIPKind::div>(operands);
    case ZIPKind::conjugate_mul:
      return all<Arithmetic, ZIPKind::conjugate_mul>(operands);
    case ZIPKind::multiply_add:
      return all<Arithmetic, ZIPKind::multiply_add>(operands);
    case ZIPKind::conjugate_multiply_add:
      return all<Arithmetic, ZIPKind::conjugate_multiply_add>(operands);
    case ZIPKind::magnitude_squared:
      return all<Arithmetic, ZIPKind::magnitude_squared>(operands);
    case ZIPKind::magnitude:
      return all<Arithmetic, ZIPKind::magnitude>(operands);
    case ZIPKind::real_add:
      return all<Arithmetic, ZIPKind::real_add>(operands);
    case ZIPKind::real_sub:
      return all<Arithmetic, ZIPKind::real_sub>(operands);
    case ZIPKind::real_mul:
      return all<Arithmetic, ZIPKind::real_mul>(operands);
    case ZIPKind::real_div:
      return all<Arithmetic, ZIPKind::real_div>(operands);
    case ZIPKind::real_multiply_add:
      return all<Arithmetic, ZIPKind::real_multiply_add>(operands);
  }
}

template <class Arithmetic>
void execute_baseline(ZIPKind kind, const typename Arithmetic::Operands& operands) {
  any<Arithmetic>(kind, operands);
}

#ifdef __x86_64__
template <class Arithmetic>
[[gnu::target("avx2")]] void execute_avx2(ZIPKind kind, const typename Arithmetic::Operands& operands) {
  any<Arithmetic>(kind, operands);
}

template <class Arithmetic>
void execute(ZIPKind kind, const typename Arithmetic::Operands& operands) {
  const bool avx2 = fourier::best_instruction_set() == fourier::InstructionSet::avx2;
  avx2 ? execute_avx2<Arithmetic>(kind, operands) : execute_baseline<Arithmetic>(kind, operands);
}
#else
template <class Arithmetic>
void execute(ZIPKind kind, const typename Arithmetic::Operands& operands) {
  execute_baseline<Arithmetic>(kind, operands);
}
#endif

/// Executes an operation, also with a `b` that is shorter than `a` and repeats.
template <class Arithmetic>
void repeat(ZIPKind kind, const typename Arithmetic::Operands& operands) {
  if (operands_of(kind) == 1 || operands.b_count >= operands.count) return execute<Arithmetic>(kind, operands);
  // A short vector becomes one of at least this many elements, so that the loops over it are long.
  constexpr std::size_t long_enough = 256;
  const std::size_t parts = is_real(kind) ? 1 : 2;
  std::vector<typename Arithmetic::Number> repeated;
  std::size_t length = operands.b_count;
  if (length < long_enough) {
    length *= (long_enough + length - 1) / length;
    repeated.reserve(length * parts);
    for (std::size_t i = 0; i < length * parts; ++i) repeated.push_back(operands.b[i % (operands.b_count * parts)]);
  }
  typename Arithmetic::Operands piece = operands;
  if (!repeated.empty()) piece.b = repeated.data();
  piece.b_count = length;
  for (std::size_t first = 0; first < operands.count; first += length) {
    const std::size_t offset = first * parts;
    piece.a = operands.a + offset;
    if (operands.c != nullptr) piece.c = operands.c + offset;
    piece.out = operands.out + offset;
    piece.count = std::min(length, operands.count - first);
    execute<Arithmetic>(kind, piece);
  }
}

}  // namespace cosoc::zip_blocks
