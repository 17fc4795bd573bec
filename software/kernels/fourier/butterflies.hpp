/// Discrete Fourier transforms of a few points, each point a vector of independent numbers.
#pragma once

#include <array>
#include <cmath>
#include <numbers>

#include "kernels/fourier/lanes.hpp"

namespace cosoc::fourier {

template <int radix, int count>
using Points = std::array<Vector<count>, radix>;

/// Two points: a sum and a difference.
template <int count>
[[gnu::always_inline]] inline void add_subtract(Vector<count>& a, Vector<count>& b) {
  const Vector<count> sum = a + b;
  b = a - b;
  a = sum;
}

/// Cosines and sines of 2 pi k / radix as (re, re) and (+-im) factors would need: plain numbers, in float32.
template <int radix>
struct Roots {
  static inline const std::array<float, radix> cosine = [] {
    std::array<float, radix> values{};
#pragma GCC unroll 16
    for (int k = 0; k < radix; ++k) values[k] = static_cast<float>(std::cos(2 * std::numbers::pi * k / radix));
    return values;
  }();
  static inline const std::array<float, radix> sine = [] {
    std::array<float, radix> values{};
#pragma GCC unroll 16
    for (int k = 0; k < radix; ++k) values[k] = static_cast<float>(std::sin(2 * std::numbers::pi * k / radix));
    return values;
  }();
};

/// Odd prime radix: sums and differences of the points j and radix - j share their products.
template <int radix, int count, bool inverse>
[[gnu::always_inline]] inline void odd_butterfly(Points<radix, count>& x) {
  constexpr int half = (radix - 1) / 2;
  Points<radix, count> y;
#pragma GCC unroll 16
  for (int j = 1; j <= half; ++j) add_subtract<count>(x[j], x[radix - j]);
  y[0] = x[0];
#pragma GCC unroll 16
  for (int j = 1; j <= half; ++j) y[0] += x[j];
#pragma GCC unroll 16
  for (int k = 1; k <= half; ++k) {
    Vector<count> even = x[0];
    Vector<count> odd = x[radix - 1] * Roots<radix>::sine[k];
    even += x[1] * Roots<radix>::cosine[k];
#pragma GCC unroll 16
    for (int j = 2; j <= half; ++j) {
      even += x[j] * Roots<radix>::cosine[j * k % radix];
      odd += x[radix - j] * Roots<radix>::sine[j * k % radix];
    }
    rotate<count, inverse>(odd);
    y[k] = even + odd;
    y[radix - k] = even - odd;
  }
  x = y;
}

/// Four points.
template <int count, bool inverse>
[[gnu::always_inline]] inline void butterfly4(Vector<count>& a, Vector<count>& b, Vector<count>& c, Vector<count>& d) {
  add_subtract<count>(a, c);
  add_subtract<count>(b, d);
  rotate<count, inverse>(d);
  add_subtract<count>(a, b);
  add_subtract<count>(c, d);
  std::swap(b, c);  // a = X0, b = X1, c = X2, d = X3
}

/// x times exp(-+2 pi j / 8): (x -+ j x) / sqrt 2.
template <int count, bool inverse>
[[gnu::always_inline]] inline void rotate_eighth(Vector<count>& x) {
  Vector<count> turned = x;
  rotate<count, inverse>(turned);
  x = (x + turned) * std::numbers::sqrt2_v<float> * 0.5F;
}

/// Eight points: two times four, of the even and of the odd ones.
template <int count, bool inverse>
[[gnu::always_inline]] inline void butterfly8(Points<8, count>& x) {
  butterfly4<count, inverse>(x[0], x[2], x[4], x[6]);
  butterfly4<count, inverse>(x[1], x[3], x[5], x[7]);
  rotate_eighth<count, inverse>(x[3]);
  rotate<count, inverse>(x[5]);
  rotate_eighth<count, inverse>(x[7]);
  rotate<count, inverse>(x[7]);
#pragma GCC unroll 16
  for (int k = 0; k < 8; k += 2) add_subtract<count>(x[k], x[k + 1]);
  x = {x[0], x[2], x[4], x[6], x[1], x[3], x[5], x[7]};
}

/// The transform of `radix` points: 2, 4, 8 or an odd prime.
template <int radix, int count, bool inverse>
[[gnu::always_inline]] inline void butterfly(Points<radix, count>& x) {
  if constexpr (radix == 2) {
    add_subtract<count>(x[0], x[1]);
  } else if constexpr (radix == 4) {
    butterfly4<count, inverse>(x[0], x[1], x[2], x[3]);
  } else if constexpr (radix == 8) {
    butterfly8<count, inverse>(x);
  } else {
    odd_butterfly<radix, count, inverse>(x);
  }
}

}  // namespace cosoc::fourier
