/// The FFT's functional model: every operation of its number format, in its order.
#include <algorithm>
#include <bit>
#include <catch2/catch.hpp>
#include <cmath>
#include <numbers>

#include "kernels/fft.hpp"
#include "software/support.hpp"

namespace cosoc::test {
namespace {

float rounded(double value) { return canonical(static_cast<float>(value)); }

Complex sum(Complex a, Complex b) { return {rounded(double{a.re} + b.re), rounded(double{a.im} + b.im)}; }
Complex difference(Complex a, Complex b) { return {rounded(double{a.re} - b.re), rounded(double{a.im} - b.im)}; }
Complex product(Complex a, Complex b) {
  const auto mul = [](float x, float y) { return double{rounded(double{x} * y)}; };
  return {rounded(mul(a.re, b.re) - mul(a.im, b.im)), rounded(mul(a.re, b.im) + mul(a.im, b.re))};
}

/// The recursion of decimation in frequency: even results from the sums, odd ones from the twiddled differences.
std::vector<Complex> recursive_fft(const std::vector<Complex>& x) {
  if (x.size() == 1) return x;
  const std::size_t half = x.size() / 2;
  std::vector<Complex> sums;
  std::vector<Complex> differences;
  for (std::size_t k = 0; k < half; ++k) {
    const double angle = -std::numbers::pi * static_cast<double>(k) / static_cast<double>(half);
    const Complex w{static_cast<float>(std::cos(angle)), static_cast<float>(std::sin(angle))};
    sums.push_back(sum(x[k], x[k + half]));
    differences.push_back(product(difference(x[k], x[k + half]), w));
  }
  const auto even = recursive_fft(sums);
  const auto odd = recursive_fft(differences);
  std::vector<Complex> result;
  for (std::size_t k = 0; k < half; ++k) {
    result.push_back(even[k]);
    result.push_back(odd[k]);
  }
  return result;
}

bool same_bits(const std::vector<Complex>& a, const std::vector<Complex>& b) {
  return std::ranges::equal(
      a, b, [](Complex x, Complex y) { return std::bit_cast<std::uint64_t>(x) == std::bit_cast<std::uint64_t>(y); });
}

TEST_CASE("the model of the FFT has the operations of its number format, bit for bit") {
  const std::size_t length = GENERATE(2, 16, 128, 2048);
  Random random(5);
  std::vector<Complex> x(length);
  for (Complex& value : x) value = {random.real(-4, 4), random.real(-4, 4)};
  x[1] = {1e-41F, -0.0F};
  FFTPlan plan(length);
  std::vector<Complex> y(length);
  plan.transform(x.data(), y.data(), false);
  CHECK(same_bits(y, recursive_fft(x)));

  std::vector<Complex> swapped;
  for (const Complex value : x) swapped.push_back({value.im, value.re});
  auto expected = recursive_fft(swapped);
  const auto scale = static_cast<float>(length);
  for (Complex& value : expected) value = {value.im / scale, value.re / scale};
  plan.transform(x.data(), x.data(), true);
  CHECK(same_bits(x, expected));
}

}  // namespace
}  // namespace cosoc::test
