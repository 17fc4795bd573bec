/// FFT, ZIP, transpose and squared magnitude against plain references.
#include <cmath>
#include <complex>
#include <numbers>

#include "kernels/arithmetic.hpp"
#include "software/support.hpp"

namespace cosoc::test {
namespace {

using Wide = std::complex<double>;

std::uint32_t bits(float value) { return std::bit_cast<std::uint32_t>(value); }

/// Computes in float64 and rounds to float32: for one operation the same as in float32.
float rounded(double value) { return canonical(static_cast<float>(value)); }

/// The operation of the number format, step by step.
Complex zip_reference(const std::string& operation, Complex a, Complex b) {
  const auto mul = [](float x, float y) { return rounded(double{x} * y); };
  const auto add = [](float x, float y) { return rounded(double{x} + y); };
  const auto sub = [](float x, float y) { return rounded(double{x} - y); };
  if (operation == "add") return {add(a.re, b.re), add(a.im, b.im)};
  if (operation == "sub") return {sub(a.re, b.re), sub(a.im, b.im)};
  if (operation == "mul") {
    return {sub(mul(a.re, b.re), mul(a.im, b.im)), add(mul(a.re, b.im), mul(a.im, b.re))};
  }
  const Complex conjugate{add(mul(a.re, b.re), mul(a.im, b.im)), sub(mul(a.im, b.re), mul(a.re, b.im))};
  if (operation == "conjugate_mul") return conjugate;
  const auto cut = [](double x) { return std::bit_cast<double>(std::bit_cast<std::uint64_t>(x) >> 26 << 26); };
  const double norm = cut(cut(double{b.re} * b.re) + cut(double{b.im} * b.im));
  return {rounded(conjugate.re / norm), rounded(conjugate.im / norm)};
}

struct Memory {
  std::unique_ptr<WallClockPlatform> platform = make_cpu_platform(4 << 20);
  Tensors tensors{platform->memory()};
};

void require_same_bits(const TensorView& view, const std::vector<Complex>& expected) {
  for (std::size_t i = 0; i < expected.size(); ++i) {
    INFO("element " << i);
    REQUIRE(bits(view.as<Complex>()[i].re) == bits(expected[i].re));
    REQUIRE(bits(view.as<Complex>()[i].im) == bits(expected[i].im));
  }
}

TEST_CASE("zip equals its definition for any bits") {
  const std::string operation = GENERATE("add", "sub", "mul", "div", "conjugate_mul");
  const bool any_bits = GENERATE(false, true);
  Memory memory;
  Random random(11);
  const TensorType type = tensor(DType::complex64, {3, 333});
  const auto& a = memory.tensors.make(type);
  const auto& b = memory.tensors.make(type);
  const auto& out = memory.tensors.make(type);
  std::vector<Complex> expected;
  for (std::size_t i = 0; i < 999; ++i) {
    for (const auto& view : {a, b}) {
      view.as<Complex>()[i] =
          any_bits ? Complex{random.any_float(), random.any_float()} : Complex{random.real(-9, 9), random.real(-9, 9)};
    }
    expected.push_back(zip_reference(operation, a.as<Complex>()[i], b.as<Complex>()[i]));
  }
  run_on_cpu(*kernel("zip", {{"operation", operation}}), {a, b}, {out});
  require_same_bits(out, expected);
}

TEST_CASE("zip makes every NaN canonical and keeps subnormals") {
  Memory memory;
  const TensorType type = tensor(DType::complex64, {3});
  const auto& a = memory.tensors.make(type);
  const auto& b = memory.tensors.make(type);
  const auto& out = memory.tensors.make(type);
  const float infinity = std::numeric_limits<float>::infinity();
  set_dense<Complex>(a, {{infinity, 1e-42F}, {-infinity, 0}, {std::bit_cast<float>(0xFFC12345U), -0.0F}});
  set_dense<Complex>(b, {{-infinity, 1e-42F}, {0, 0}, {1, -0.0F}});
  run_on_cpu(*kernel("zip", {{"operation", "add"}}), {a, b}, {out});
  CHECK(bits(out.as<float>()[0]) == 0x7FC00000);
  CHECK(out.as<float>()[1] == 1e-42F + 1e-42F);
  CHECK(out.as<float>()[2] == -infinity);
  CHECK(bits(out.as<float>()[4]) == 0x7FC00000);
  CHECK(bits(out.as<float>()[5]) == bits(-0.0F));
}

TEST_CASE("fft agrees with the definition of the transform") {
  const std::int64_t length = GENERATE(1, 2, 3, 8, 60, 64, 97, 256);
  const bool inverse = GENERATE(false, true);
  Memory memory;
  Random random(static_cast<std::uint32_t>(length));
  const auto& in = memory.tensors.make(tensor(DType::complex64, {2, length}));
  const auto& out = memory.tensors.make(*in.type);
  random.fill(in);
  run_on_cpu(*kernel("fft", {{"direction", inverse ? "inverse" : "forward"}}), {in}, {out});
  for (std::int64_t frame = 0; frame < 2; ++frame) {
    for (std::int64_t k = 0; k < length; ++k) {
      Wide sum = 0;
      for (std::int64_t n = 0; n < length; ++n) {
        const Complex x = in.as<Complex>()[frame * length + n];
        const double turns = static_cast<double>(n * k % length) / static_cast<double>(length);
        sum += Wide(x.re, x.im) * std::polar(1.0, (inverse ? 2 : -2) * std::numbers::pi * turns);
      }
      if (inverse) sum /= static_cast<double>(length);
      const Complex found = out.as<Complex>()[frame * length + k];
      // The error grows with the stages; values are below 6 * length.
      const double bound = (inverse ? 1.0 : static_cast<double>(length)) * 1e-6 * 10;
      REQUIRE(std::abs(Wide(found.re, found.im) - sum) < bound);
    }
  }
}

TEST_CASE("transpose and squared magnitude") {
  Memory memory;
  Random random(3);
  const auto& in = memory.tensors.make(tensor(DType::complex64, {13, 21}));
  const auto& turned = memory.tensors.make(tensor(DType::complex64, {21, 13}));
  const auto& power = memory.tensors.make(tensor(DType::float32, {13, 21}));
  random.fill(in);
  in.as<Complex>()[5].im = std::numeric_limits<float>::quiet_NaN();
  run_on_cpu(*kernel("transpose", nlohmann::json::object()), {in}, {turned});
  run_on_cpu(*kernel("magnitude_squared", nlohmann::json::object()), {in}, {power});
  for (std::size_t row = 0; row < 13; ++row) {
    for (std::size_t column = 0; column < 21; ++column) {
      const Complex x = in.as<Complex>()[row * 21 + column];
      REQUIRE(bits(turned.as<Complex>()[column * 13 + row].re) == bits(x.re));
      REQUIRE(bits(turned.as<Complex>()[column * 13 + row].im) == bits(x.im));
      const float square = rounded(double{rounded(double{x.re} * x.re)} + rounded(double{x.im} * x.im));
      REQUIRE(bits(power.as<float>()[row * 21 + column]) == bits(square));
    }
  }
}

}  // namespace
}  // namespace cosoc::test
