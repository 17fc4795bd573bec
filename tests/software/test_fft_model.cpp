/// The FFT's functional model: every operation of its number format, in its order.
#include <algorithm>
#include <bit>
#include <catch2/catch.hpp>
#include <cmath>
#include <numbers>

#include "drivers/fft/transform.hpp"
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

Complex root(std::size_t power, std::size_t order) {
  const long double angle = 2 * std::numbers::pi_v<long double> * static_cast<long double>(power) / order;
  return {static_cast<float>(std::cos(angle)), static_cast<float>(-std::sin(angle))};
}

/// One step of radix 2 when log2 of the length is odd, of radix 4 otherwise, then the same for each part.
std::vector<Complex> recursive_fft(const std::vector<Complex>& x) {
  if (x.size() == 1) return x;
  const bool four = std::countr_zero(x.size()) % 2 == 0;
  const std::size_t parts = four ? 4 : 2;
  const std::size_t part = x.size() / parts;
  std::vector<std::vector<Complex>> steps(parts, std::vector<Complex>(part));  // result k of part p is k * parts + p
  for (std::size_t n = 0; n < part; ++n) {
    if (four) {
      const Complex sum02 = sum(x[n], x[n + 2 * part]), sum13 = sum(x[n + part], x[n + 3 * part]);
      const Complex difference02 = difference(x[n], x[n + 2 * part]);
      const Complex a = x[n + part], b = x[n + 3 * part];
      const Complex turned{rounded(double{a.im} - b.im), rounded(double{b.re} - a.re)};
      steps[0][n] = sum(sum02, sum13);
      steps[1][n] = sum(difference02, turned);
      steps[2][n] = difference(sum02, sum13);
      steps[3][n] = difference(difference02, turned);
    } else {
      steps[0][n] = sum(x[n], x[n + part]);
      steps[1][n] = difference(x[n], x[n + part]);
    }
    for (std::size_t p = 1; p < parts && n > 0; ++p) steps[p][n] = product(steps[p][n], root(n * p, x.size()));
  }
  std::vector<Complex> result(x.size());
  for (std::size_t p = 0; p < parts; ++p) {
    const auto transformed = recursive_fft(steps[p]);
    for (std::size_t k = 0; k < part; ++k) result[k * parts + p] = transformed[k];
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
  const auto transform = fft::make_transform(fft::Config{}, length, 0);
  std::vector<Complex> y = x;
  transform->run(y, false, false);
  CHECK(same_bits(y, recursive_fft(x)));

  std::vector<Complex> swapped;
  for (const Complex value : x) swapped.push_back({value.im, value.re});
  auto expected = recursive_fft(swapped);
  const auto scale = static_cast<float>(length);
  for (Complex& value : expected) value = {value.im / scale, value.re / scale};
  transform->run(x, true, true);
  CHECK(same_bits(x, expected));
}

}  // namespace
}  // namespace cosoc::test
