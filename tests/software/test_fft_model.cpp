/// The FFT's functional model: every operation of its number format, in its order.
#include <algorithm>
#include <bit>
#include <catch2/catch.hpp>
#include <cmath>
#include <numbers>

#include "drivers/fft/model.hpp"
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

/// A model with all options, and memory with random samples from address 0 on.
class Memory {
 public:
  Memory() : region_(1 << 16), memory_(region_, 0) {
    Random random(3);
    for (std::size_t i = 0; i < 1024; ++i) at(0)[i] = {random.real(-4, 4), random.real(-4, 4)};
  }

  Complex* at(std::uint64_t address) { return reinterpret_cast<Complex*>(region_.data() + address); }

  ErrorCode run(const fft::Command& command) {
    CommandMemory memory(memory_, 0, region_.size() - 1);
    return fft::FFTModel(config).execute(command.encode(), memory).error;
  }

  fft::Config config = fft::Config::from(std::array<std::uint32_t, 7>{6, 1, 0, 16, 1, 1, 1});

 private:
  std::vector<std::byte> region_;
  DeviceMemory memory_;
};

constexpr std::uint32_t target = 1 << 15;

fft::Command command_of(std::uint8_t log2_length, std::uint32_t frames) {
  fft::Command command;
  command.log2_length = log2_length;
  command.frames = frames;
  command.out_address = target;
  command.in_frame_stride = command.out_frame_stride = static_cast<std::uint32_t>(sizeof(Complex)) << log2_length;
  return command;
}

TEST_CASE("the model transforms blocks of columns, and stores them as rows") {
  Memory memory;
  fft::Command command = command_of(4, 2);  // of a matrix with 16 rows and 8 columns
  command.interleave_log2 = 2;
  command.transpose = 1;
  command.in_row_stride = 8 * sizeof(Complex);
  command.in_frame_stride = 4 * sizeof(Complex);
  command.out_row_stride = 16 * sizeof(Complex);
  command.out_frame_stride = 4 * command.out_row_stride;
  REQUIRE(memory.run(command) == ErrorCode::none);
  const auto transform = fft::make_transform(memory.config, 16, 2);
  for (std::size_t column = 0; column < 8; ++column) {
    std::vector<Complex> expected(16);
    for (std::size_t n = 0; n < 16; ++n) expected[n] = memory.at(0)[8 * n + column];
    transform->run(expected, false, false);
    const Complex* found = memory.at(target) + 16 * column;
    CHECK(same_bits({found, found + 16}, expected));
  }
}

TEST_CASE("the model transforms real signals into bins without gaps") {
  Memory memory;
  fft::Command command = command_of(3, 3);
  command.real = 1;
  command.out_frame_stride = 9 * sizeof(Complex);
  REQUIRE(memory.run(command) == ErrorCode::none);
  for (std::size_t frame = 0; frame < 3; ++frame) {
    const auto* signal = reinterpret_cast<const float*>(memory.at(0) + 8 * frame);
    for (std::size_t k = 0; k <= 8; ++k) {
      double re = 0, im = 0;
      for (std::size_t n = 0; n < 16; ++n) {
        const double angle = 2 * std::numbers::pi * static_cast<double>(n * k) / 16;
        re += signal[n] * std::cos(angle);
        im -= signal[n] * std::sin(angle);
      }
      CHECK(memory.at(target)[9 * frame + k].re == Approx(re).margin(1e-5));
      CHECK(memory.at(target)[9 * frame + k].im == Approx(im).margin(1e-5));
    }
  }
}

TEST_CASE("the model multiplies transforms by one operand for all frames") {
  Memory memory;
  fft::Command command = command_of(3, 2);
  command.multiply = command.conjugate = 1;
  command.b_address = 4096;
  REQUIRE(memory.run(command) == ErrorCode::none);
  const auto transform = fft::make_transform(memory.config, 8, 0);
  for (std::size_t frame = 0; frame < 2; ++frame) {
    std::vector<Complex> expected(memory.at(0) + 8 * frame, memory.at(0) + 8 * frame + 8);
    transform->run(expected, false, false);
    for (std::size_t k = 0; k < 8; ++k) expected[k] = conjugate_product(expected[k], memory.at(4096)[k]);
    const Complex* found = memory.at(target) + 8 * frame;
    CHECK(same_bits({found, found + 8}, expected));
  }
}

TEST_CASE("the model refuses what the FFT refuses") {
  Memory memory;
  const auto refused = [&](const auto& change) {
    fft::Command command = command_of(4, 2);
    change(command);
    return memory.run(command);
  };
  CHECK(refused([](auto& command) { command.opcode = 2; }) == ErrorCode::bad_opcode);
  CHECK(refused([](auto& command) { command.log2_length = 2; }) == ErrorCode::bad_length);
  CHECK(refused([](auto& command) { command.interleave_log2 = 3; }) == ErrorCode::bad_length);
  CHECK(refused([](auto& command) { command.frames = 0; }) == ErrorCode::bad_length);
  CHECK(refused([](auto& command) { command.in_frame_stride = 8; }) == ErrorCode::misaligned);
  CHECK(refused([](auto& command) { command.interleave_log2 = 1; }) == ErrorCode::bad_parameter);
  CHECK(refused([](auto& command) { command.real = command.scaled = 1; }) == ErrorCode::bad_parameter);
  memory.config.multiply = 0;
  CHECK(refused([](auto& command) { command.multiply = 1; }) == ErrorCode::bad_parameter);
}

}  // namespace
}  // namespace cosoc::test
