/// Functions of float32 numbers beside the C library's.
#include <algorithm>
#include <bit>
#include <catch2/catch.hpp>
#include <cmath>
#include <random>
#include <vector>

#include "kernels/dense/binary_real.hpp"
#include "kernels/dense/unary.hpp"

using namespace cosoc::dense;

namespace {

struct Pairs {
  std::vector<float> a, b;

  void add(float left, float right) {
    a.push_back(left);
    b.push_back(right);
  }
};

/// Zeros, subnormal numbers, the ends of the range, infinities, NaN, and where quotients stop to be quick; all with
/// all.
Pairs corners() {
  std::vector<float> values = {0.0F,       1.0F,        3.0F,        0.1F,     1.5F,
                               0x1p-149F,  0x1.8p-130F, 0x1p-126F,   0x1p24F,  0x1p-27F,
                               0x1.8p-28F, 0x1.fep127F, 0x1.0002p3F, INFINITY, NAN};
  for (std::size_t i = 0, count = values.size(); i < count; ++i) values.push_back(-values[i]);
  Pairs pairs;
  for (const float a : values) {
    for (const float b : values) pairs.add(a, b);
  }
  return pairs;
}

/// Any bits, and neighbours of multiples, whose quotients are nearly whole.
Pairs random_pairs() {
  std::mt19937 random(7);
  Pairs pairs;
  for (int i = 0; i < 20000; ++i) {
    const auto b = std::bit_cast<float>(static_cast<std::uint32_t>(random()));
    pairs.add(std::bit_cast<float>(static_cast<std::uint32_t>(random())), b);
    const auto factor = static_cast<float>(random() >> (random() % 32));
    pairs.add(std::nextafter(b * factor, random() % 2 == 0 ? INFINITY : 0.0F), b);
  }
  return pairs;
}

std::vector<float> results(void (*function)(const PairCall&), const Pairs& pairs) {
  std::vector<float> out(pairs.a.size());
  function(
      {.a = pairs.a.data(), .b = pairs.b.data(), .out = out.data(), .count = static_cast<std::int64_t>(out.size())});
  return out;
}

/// The bits, but for those of a NaN.
bool is_same(float found, float expected) {
  return std::isnan(expected) ? std::isnan(found)
                              : std::bit_cast<std::uint32_t>(found) == std::bit_cast<std::uint32_t>(expected);
}

/// How many differ from `expected(a, b)`; the first one is told.
template <class Expected>
int count_differences(void (*function)(const PairCall&), const Pairs& pairs, const Expected& expected) {
  const auto found = results(function, pairs);
  int count = 0;
  for (std::size_t i = 0; i < found.size(); ++i) {
    const float value = expected(pairs.a[i], pairs.b[i]);
    if (is_same(found[i], value)) continue;
    if (count++ == 0) UNSCOPED_INFO(pairs.a[i] << " and " << pairs.b[i] << ": " << found[i] << ", expected " << value);
  }
  return count;
}

float remainder_of(float a, float b) {
  const float rest = std::fmod(a, b);
  return rest != 0.0F && (rest < 0.0F) != (b < 0.0F) ? rest + b : rest;
}

/// PyTorch's c10::div_floor_floating.
float floor_quotient(float a, float b) {
  if (b == 0.0F) return a / b;
  const float rest = std::fmod(a, b);
  float quotient = (a - rest) / b;
  if (rest != 0.0F && (b < 0.0F) != (rest < 0.0F)) quotient -= 1.0F;
  if (quotient == 0.0F) return std::copysign(0.0F, a / b);
  const float whole = std::floor(quotient);
  return quotient - whole > 0.5F ? whole + 1.0F : whole;
}

}  // namespace

TEST_CASE("remainders and floored quotients are exact for all numbers") {
  for (const Pairs& pairs : {corners(), random_pairs()}) {
    CHECK(count_differences(map_fmod, pairs, [](float a, float b) { return std::fmod(a, b); }) == 0);
    CHECK(count_differences(map_remainder, pairs, remainder_of) == 0);
    CHECK(count_differences(map_floor_divide, pairs, floor_quotient) == 0);
  }
}

TEST_CASE("angles have the C library's signs and special values, and are near in all quadrants") {
  for (const Pairs& pairs : {corners(), random_pairs()}) {
    const auto found = results(map_atan2, pairs);
    double worst = 0;
    for (std::size_t i = 0; i < found.size(); ++i) {
      const double expected = std::atan2(static_cast<double>(pairs.a[i]), static_cast<double>(pairs.b[i]));
      INFO(pairs.a[i] << " and " << pairs.b[i]);
      REQUIRE(std::isnan(found[i]) == std::isnan(expected));
      if (std::isnan(expected)) continue;
      REQUIRE(std::signbit(found[i]) == std::signbit(expected));
      worst = std::max(worst, std::abs(found[i] - expected) / std::max(std::abs(expected), 0x1p-126));
    }
    CHECK(worst < 4e-7);
  }
}

TEST_CASE(
    "powers of two are near the exact ones, from the smallest subnormal number to overflow, and exact at integers") {
  std::vector<float> in = {INFINITY,  -INFINITY, NAN,        -NAN,    0.0F,   -0.0F,
                           0x1p-149F, 128.0F,    127.99999F, -150.5F, -1e30F, 1e30F};
  for (float x = -160.0F; x < 140.0F; x += 0.03125F) in.push_back(x);
  std::mt19937 random(11);
  std::uniform_real_distribution<float> uniform(-155.0F, 130.0F);
  for (int i = 0; i < 20000; ++i) in.push_back(uniform(random));
  std::vector<float> out(in.size());
  REQUIRE(map_real({.operation = "exp2",
                    .parameters = {},
                    .in = in.data(),
                    .out = out.data(),
                    .count = static_cast<std::int64_t>(in.size())}));
  for (std::size_t i = 0; i < in.size(); ++i) {
    const double exact = std::exp2(static_cast<double>(in[i]));
    const auto expected = static_cast<float>(exact);
    INFO("2^" << in[i] << ": " << out[i] << ", expected " << expected);
    if (!std::isfinite(expected) || in[i] == std::floor(in[i])) {
      REQUIRE(is_same(out[i], expected));
    } else {
      REQUIRE(std::abs(out[i] - exact) <= std::max(4e-7 * exact, 0x1p-149));
    }
  }
}
