/// The CPU's transforms of any length against the definition in float64.
#include <algorithm>
#include <bit>
#include <catch2/catch.hpp>
#include <cmath>
#include <complex>
#include <numbers>
#include <thread>
#include <vector>

#include "kernels/fourier/transform.hpp"
#include "software/support.hpp"

namespace cosoc::test {
namespace {

using fourier::Direction;
using fourier::InstructionSet;
using fourier::Transform;
using Wide = std::complex<double>;

std::vector<Complex> noise(std::size_t count, std::uint32_t seed) {
  Random random(seed);
  std::vector<Complex> values(count);
  for (Complex& x : values) x = {random.real(-1, 1), random.real(-1, 1)};
  return values;
}

/// The definition for column `column` of `columns`.
std::vector<Wide> definition(const std::vector<Complex>& x, std::size_t columns, std::size_t column, bool inverse) {
  const std::size_t length = x.size() / columns;
  std::vector<Wide> roots;
  for (std::size_t k = 0; k < length; ++k) {
    const double turn = 2 * std::numbers::pi * static_cast<double>(k) / static_cast<double>(length);
    roots.push_back(std::polar(1.0, inverse ? turn : -turn));
  }
  std::vector<Wide> result(length);
  for (std::size_t k = 0; k < length; ++k) {
    for (std::size_t n = 0; n < length; ++n) {
      const Complex value = x[n * columns + column];
      result[k] += Wide(value.re, value.im) * roots[n * k % length];
    }
    if (inverse) result[k] /= static_cast<double>(length);
  }
  return result;
}

/// Relative error in the norm.
double error_of(const std::vector<Complex>& found, std::size_t columns, std::size_t column,
                const std::vector<Wide>& expected) {
  double error = 0;
  double norm = 0;
  for (std::size_t k = 0; k < expected.size(); ++k) {
    const Complex value = found[k * columns + column];
    error += std::norm(Wide(value.re, value.im) - expected[k]);
    norm += std::norm(expected[k]);
  }
  return std::sqrt(error / norm);
}

/// What transform.hpp promises; `chirp`: by Bluestein's algorithm.
double bound(std::size_t length, bool chirp) {
  return (chirp ? 2 : 1) * 0x1p-24 * (1 + std::log2(static_cast<double>(length)));
}

bool has_large_factor(std::size_t length) {
  for (std::size_t factor = 2; factor <= 13; ++factor) {
    while (length % factor == 0) length /= factor;
  }
  return length > 1;
}

bool same_bits(const std::vector<Complex>& a, const std::vector<Complex>& b) {
  return std::ranges::equal(
      a, b, [](Complex x, Complex y) { return std::bit_cast<std::uint64_t>(x) == std::bit_cast<std::uint64_t>(y); });
}

TEST_CASE("every length transforms as the definition says") {
  std::vector<std::size_t> lengths;
  for (std::size_t length = 1; length <= 64; ++length) lengths.push_back(length);
  lengths.insert(lengths.end(),
                 {81, 97, 121, 127, 128, 169, 243, 251, 256, 343, 360, 512, 625, 1000, 1009, 1024, 2048});
  for (const std::size_t length : lengths) {
    for (const bool inverse : {false, true}) {
      const auto x = noise(length, static_cast<std::uint32_t>(length));
      std::vector<Complex> y(length);
      Transform(length, inverse ? Direction::inverse : Direction::forward).execute(x.data(), y.data());
      INFO(length << (inverse ? " inverse" : " forward"));
      CHECK(error_of(y, 1, 0, definition(x, 1, 0, inverse)) < bound(length, has_large_factor(length)));
    }
  }
}

TEST_CASE("long transforms: forward then inverse returns the input") {
  const std::size_t length = GENERATE(4096, 8192, 10007, 16384, 65536, 59049);
  const auto x = noise(length, 1);
  std::vector<Complex> y(length);
  Transform(length, Direction::forward).execute(x.data(), y.data());
  Transform(length, Direction::inverse).execute(y.data(), y.data());
  std::vector<Wide> expected;
  for (const Complex value : x) expected.emplace_back(value.re, value.im);
  CHECK(error_of(y, 1, 0, expected) < 2 * bound(length, has_large_factor(length)));
  // A transform that returned its input would pass: its first result is the mean.
  CHECK(std::abs(Wide(y[0].re, y[0].im) - Wide(x[0].re, x[0].im)) < 1e-4);
  Transform(length, Direction::forward).execute(x.data(), y.data());
  Wide sum = 0;
  for (const Wide value : expected) sum += value;
  CHECK(std::abs(Wide(y[0].re, y[0].im) - sum) < 1e-3 * std::sqrt(static_cast<double>(length)));
}

TEST_CASE("columns transform side by side, in place and out of place, as each does alone") {
  const std::size_t length = GENERATE(1, 2, 3, 8, 17, 60, 64, 256);
  const std::size_t columns = GENERATE(2, 3, 4, 7, 16, 17, 40);
  const auto x = noise(length * columns, 7);
  std::vector<Complex> y(x.size());
  const Transform transform(length, Direction::forward);
  transform.execute(x.data(), y.data(), columns);
  for (const std::size_t column : {std::size_t{0}, columns / 2, columns - 1}) {
    INFO(length << " points, column " << column << " of " << columns);
    CHECK(error_of(y, columns, column, definition(x, columns, column, false)) <
          bound(length, has_large_factor(length)));
  }
  std::vector<Complex> in_place = x;
  transform.execute(in_place.data(), in_place.data(), columns);
  CHECK(same_bits(in_place, y));
}

TEST_CASE("arrays need no alignment beyond that of float") {
  std::vector<float> memory(2 * 64 + 1);
  auto* x = reinterpret_cast<Complex*>(memory.data() + 1);
  const auto values = noise(64, 3);
  std::ranges::copy(values, x);
  std::vector<Complex> aligned(64);
  const Transform transform(64, Direction::forward);
  transform.execute(values.data(), aligned.data());
  transform.execute(x, x);
  CHECK(same_bits({x, x + 64}, aligned));
}

TEST_CASE("the instruction set does not change a bit") {
  const std::size_t length = GENERATE(8, 24, 27, 77, 128, 169, 1001, 1009, 4096);
  const std::size_t columns = GENERATE(1, 5);
  for (const Direction direction : {Direction::forward, Direction::inverse}) {
    const auto x = noise(length * columns, 9);
    std::vector<Complex> baseline(x.size());
    std::vector<Complex> best(x.size());
    Transform(length, direction, InstructionSet::baseline).execute(x.data(), baseline.data(), columns);
    Transform(length, direction).execute(x.data(), best.data(), columns);
    CHECK(same_bits(baseline, best));
  }
}

TEST_CASE("the transforms of the process are shared between threads") {
  const auto x = noise(1024, 2);
  std::vector<Complex> expected(x.size());
  fourier::transform_of(1024, Direction::forward)->execute(x.data(), expected.data());
  std::vector<int> right(4);
  std::vector<std::thread> threads;
  for (int& result : right) {
    threads.emplace_back([&] {
      // More lengths than the cache holds.
      for (std::size_t length = 1; length <= 100; ++length) {
        const auto transform = fourier::transform_of(length, Direction::inverse);
        result += transform->length() == length ? 1 : 0;
      }
      std::vector<Complex> y(x.size());
      fourier::transform_of(1024, Direction::forward)->execute(x.data(), y.data());
      result += same_bits(y, expected) ? 1 : 0;
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(right == std::vector<int>(4, 101));
}

}  // namespace
}  // namespace cosoc::test
