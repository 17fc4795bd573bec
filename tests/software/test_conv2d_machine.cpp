/// The machine of the Conv2D engine against plain loops that index every value on its own.
#include <array>
#include <cmath>

#include "drivers/conv2d/program_checker.hpp"
#include "kernels/arithmetic.hpp"
#include "software/conv2d_layer.hpp"

namespace cosoc::conv2d::test {
namespace {

__extension__ using Wide = __int128;

/// The rule of docs/conv2d.md in integers of 128 bits, 60 of them behind the point.
template <class Activation>
std::int64_t expected_result(std::int64_t sum, float multiplier, std::int64_t residual, std::int64_t zero_point,
                             std::int64_t low, std::int64_t high) {
  constexpr int fraction = sizeof(Activation) == 1 ? 16 : 24;
  const double limit = sizeof(Activation) == 1 ? 32768.0 : 2147483648.0;
  const float rounded = static_cast<float>(sum);
  const float product = rounded * multiplier;
  const double bounded = std::min(limit, std::max(-limit, static_cast<double>(product)));
  const double scaled = std::ldexp(bounded, 60);
  Wide value = static_cast<Wide>(scaled);
  // What lies below these bits only decides which side of a half it is.
  if (value == 0 && std::fabs(product) >= 0x1p-126F) value = product > 0 ? 1 : -1;
  value += static_cast<Wide>(residual) * (Wide{1} << (60 - fraction));
  const Wide one = Wide{1} << 60;
  Wide whole = value / one - (value % one < 0 ? 1 : 0);
  const Wide rest = value - whole * one;
  if (rest > one / 2 || (rest == one / 2 && whole % 2 != 0)) ++whole;
  const Wide result = whole + zero_point;
  return static_cast<std::int64_t>(std::min<Wide>(high, std::max<Wide>(low, result)));
}

template <class Activation>
void check_requantize(std::uint32_t seed) {
  std::mt19937_64 random(seed);
  const int bits = sizeof(Activation) == 1 ? 32 : 48;
  constexpr std::array<std::int16_t, 2> clamp = {std::numeric_limits<Activation>::min(),
                                                 std::numeric_limits<Activation>::max()};
  for (int i = 0; i < 20000; ++i) {
    const auto sum = static_cast<std::int64_t>(random()) >> (64 - bits + static_cast<int>(random() % 28));
    const float multiplier =
        std::ldexp(1.0F + static_cast<float>(random() % 4096) / 4096.0F, static_cast<int>(random() % 60) - 50);
    std::int64_t residual = 0;
    if (random() % 4 != 0) {
      residual = (static_cast<std::int64_t>(random() % (512ULL << (8 * (sizeof(Activation) - 1)))) -
                  (256LL << (8 * (sizeof(Activation) - 1)))) *
                 static_cast<std::int64_t>(random() >> (36 + random() % 28));
    }
    const auto zero_point = static_cast<Activation>(random());
    CAPTURE(sum, multiplier, residual, zero_point);
    REQUIRE(requantize_with_residual<Activation>(sum, multiplier, residual, zero_point, clamp) ==
            expected_result<Activation>(sum, multiplier, residual, zero_point, clamp[0], clamp[1]));
  }
}

TEST_CASE("requantization with a residual is exact") {
  check_requantize<std::int8_t>(1);
  check_requantize<std::int16_t>(2);
}

TEST_CASE("requantization rounds halves to even after the residual") {
  const auto result = [](std::int64_t sum, float multiplier, std::int64_t residual) {
    return requantize_with_residual<std::int8_t>(sum, multiplier, residual, 0, {-128, 127});
  };
  constexpr std::int64_t half = 1 << 15;
  CHECK(result(1, 0.5F, 0) == 0);
  CHECK(result(3, 0.5F, 0) == 2);
  CHECK(result(-1, 0.5F, 0) == 0);
  CHECK(result(-3, 0.5F, 0) == -2);
  CHECK(result(1, 1.0F, half) == 2);
  CHECK(result(2, 1.0F, half) == 2);
  // What lies below 2^-16 decides, from either side.
  CHECK(result(1, 0x1p-100F, half) == 1);
  CHECK(result(-1, 0x1p-100F, half) == 0);
  CHECK(result(1, 0x1p-127F, half) == 0);
  CHECK(result(INT32_MAX, 0x1p100F, -(std::int64_t{40000} << 16)) == -128);
  CHECK(result(0, 3.0F, 0) == 0);
}

void check_layer(const Layer& given, const Config& config, std::uint32_t seed) {
  Layer layer = given;
  if (config.activation_bits == 16) {
    layer.clamp_min *= 256;
    layer.clamp_max = layer.clamp_max * 256 + 255;
    for (auto* zero_point : {&layer.in_zero_point, &layer.out_zero_point, &layer.residual_zero_point})
      *zero_point *= 200;
  }
  layer.fill(seed, static_cast<int>(config.activation_bits));
  const LayerProgram compiled(layer, config);
  Engine engine(config);
  compiled.put_data(engine);
  REQUIRE(engine.run(compiled.program) == ErrorCode::none);
  REQUIRE(engine.transfer_error == ErrorCode::none);

  ProgramChecker checker(config);
  Program program = compiled.program;
  const auto checked = checker.check(engine.command(program), program.words());
  INFO((checked ? "" : checked.error().message));
  REQUIRE(checked);

  std::size_t inner = 0;
  for (std::int32_t pixel = 0; pixel < layer.out_pixels(); ++pixel) {
    for (std::int32_t channel = 0; channel < layer.out_channels; ++channel) {
      const auto c = static_cast<std::size_t>(channel);
      const std::int64_t sum =
          layer.sum_at(pixel / layer.out_extent(1), pixel % layer.out_extent(1), channel) + layer.bias[c];
      const std::int32_t index = pixel * layer.out_channels + channel;
      const std::int64_t value = layer.residual[static_cast<std::size_t>(index)];
      const std::int64_t residual = (value - layer.residual_zero_point) * layer.residual_multiplier;
      const auto expected =
          (config.activation_bits == 8
               ? expected_result<std::int8_t>
               : expected_result<std::int16_t>)(sum, layer.multiplier[c], layer.residual_multiplier == 0 ? 0 : residual,
                                                layer.out_zero_point, layer.clamp_min, layer.clamp_max);
      CAPTURE(pixel, channel, sum, layer.multiplier[c]);
      REQUIRE(compiled.result(engine, pixel, channel) == expected);
      if (expected > layer.clamp_min && expected < layer.clamp_max) ++inner;
    }
  }
  CHECK(2 * inner > static_cast<std::size_t>(layer.out_pixels() * layer.out_channels));
}

const std::array configs = {config_of(4, 4, 2),     config_of(8, 8, 4, 8, 2), config_of(16, 16, 8, 8, 2),
                            config_of(16, 16, 16),  config_of(4, 16, 1),      config_of(8, 8, 2, 16, 2),
                            config_of(4, 8, 1, 16), config_of(8, 4, 16, 16)};

TEST_CASE("layers, on every shape of array") {
  const auto config = GENERATE(from_range(configs));
  CAPTURE(config.input_lanes, config.output_lanes, config.pixel_lanes, config.activation_bits);
  SECTION("3x3 with padding") { check_layer({.in_zero_point = -5, .out_zero_point = 7}, config, 1); }
  SECTION("residual, clamp") {
    check_layer({.in_channels = 20,
                 .out_channels = 33,
                 .clamp_min = -90,
                 .clamp_max = 100,
                 .residual_multiplier = config.activation_bits == 8 ? 23456U : 6000000U,
                 .residual_zero_point = 11},
                config, 2);
  }
  SECTION("stride and dilation") {
    check_layer({.rows = 9,
                 .columns = 11,
                 .in_channels = 3,
                 .out_channels = 4,
                 .kernel = {2, 3},
                 .stride = {2, 3},
                 .dilation = {3, 2},
                 .padding = {0, 2, 1, 3},
                 .in_zero_point = 100},
                config, 3);
  }
  SECTION("one pixel, long reduction") {
    check_layer({.rows = 1, .columns = 1, .in_channels = 1100, .out_channels = 5, .kernel = {1, 1}, .padding = {}},
                config, 4);
  }
  SECTION("one column") {
    check_layer({.rows = 13, .columns = 1, .in_channels = 5, .kernel = {3, 1}, .padding = {1, 0, 1, 0}}, config, 5);
  }
}

TEST_CASE("random layers") {
  std::mt19937 random(99);
  const auto draw = [&](std::int32_t low, std::int32_t high) {
    return std::uniform_int_distribution<std::int32_t>(low, high)(random);
  };
  for (std::uint32_t i = 0; i < 60; ++i) {
    Layer layer{.rows = draw(1, 9), .columns = draw(1, 9), .in_channels = draw(1, 40), .out_channels = draw(1, 40)};
    layer.kernel = {draw(1, 3), draw(1, 3)};
    layer.stride = {draw(1, 3), draw(1, 3)};
    layer.dilation = {draw(1, 2), draw(1, 2)};
    layer.padding = {draw(2, 4), draw(2, 4), draw(2, 4), draw(2, 4)};
    layer.in_zero_point = draw(-20, 20);
    const Config& config = configs[static_cast<std::size_t>(draw(0, configs.size() - 1))];
    CAPTURE(i, layer.rows, layer.columns, layer.in_channels, layer.out_channels, config.activation_bits);
    check_layer(layer, config, i);
  }
}

}  // namespace
}  // namespace cosoc::conv2d::test
