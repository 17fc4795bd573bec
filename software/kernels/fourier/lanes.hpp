/// Complex numbers side by side in one vector register, without intrinsics: GCC's and Clang's vector extensions.
///
/// Everything here is inlined into functions that are compiled for one instruction set; see passes.cpp. No operation
/// crosses lanes but those that move numbers, so results do not depend on the width.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <utility>

#include "kernels/arithmetic.hpp"

namespace cosoc::fourier {

template <int count>
struct Lanes {
  using Floats [[gnu::vector_size(8 * count)]] = float;
  /// As they lie in memory: aligned as one number, and aliasing the complex numbers there.
  using Stored [[gnu::vector_size(8 * count), gnu::aligned(4), gnu::may_alias]] = float;
  using Bits [[gnu::vector_size(8 * count)]] = std::uint32_t;
  using Pairs [[gnu::vector_size(8 * count)]] = double;
};

/// `count` complex numbers: re, im, re, im, ...
template <int count>
using Vector = typename Lanes<count>::Floats;

template <int count>
[[gnu::always_inline]] inline void load(Vector<count>& to, const Complex* from) {
  to = *reinterpret_cast<const typename Lanes<count>::Stored*>(from);
}

template <int count>
[[gnu::always_inline]] inline void store(Complex* to, const Vector<count>& from) {
  *reinterpret_cast<typename Lanes<count>::Stored*>(to) = from;
}

namespace detail {
template <int count, int... place>
[[gnu::always_inline]] inline void fill(Vector<count>& to, double pair, std::integer_sequence<int, place...>) {
  const typename Lanes<count>::Pairs all = {(static_cast<void>(place), pair)...};
  to = reinterpret_cast<Vector<count>>(all);
}

template <int count, int... lane>
[[gnu::always_inline]] inline void swap_parts(Vector<count>& to, const Vector<count>& from,
                                              std::integer_sequence<int, lane...>) {
  to = __builtin_shufflevector(from, from, (lane ^ 1)...);
}

template <int count, int... lane>
[[gnu::always_inline]] inline void negate(Vector<count>& x, std::uint32_t real, std::uint32_t imaginary,
                                          std::integer_sequence<int, lane...>) {
  using Bits = typename Lanes<count>::Bits;
  const Bits signs = {(lane % 2 == 0 ? real : imaginary)...};
  x = reinterpret_cast<Vector<count>>(reinterpret_cast<Bits>(x) ^ signs);
}
}  // namespace detail

/// The same complex number in every place.
template <int count>
[[gnu::always_inline]] inline void broadcast(Vector<count>& to, const Complex* from) {
  double pair;
  std::memcpy(&pair, from, sizeof(pair));
  detail::fill<count>(to, pair, std::make_integer_sequence<int, count>{});
}

/// (re, im) to (im, re).
template <int count>
[[gnu::always_inline]] inline void swap_parts(Vector<count>& x) {
  detail::swap_parts<count>(x, x, std::make_integer_sequence<int, 2 * count>{});
}

/// x times -j, or +j when `inverse`.
template <int count, bool inverse>
[[gnu::always_inline]] inline void rotate(Vector<count>& x) {
  constexpr std::uint32_t sign = 0x8000'0000U;
  swap_parts<count>(x);
  detail::negate<count>(x, inverse ? sign : 0, inverse ? 0 : sign, std::make_integer_sequence<int, 2 * count>{});
}

/// x times a factor given as (re, re) and (-im, im) in each place.
template <int count>
[[gnu::always_inline]] inline void multiply(Vector<count>& x, const Vector<count>& re, const Vector<count>& im) {
  Vector<count> swapped = x;
  swap_parts<count>(swapped);
  x = x * re + swapped * im;
}

}  // namespace cosoc::fourier
