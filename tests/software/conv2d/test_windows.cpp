/// Depthwise convolutions that the compiler executes with windows of three taps.
#include "software/conv2d/support.hpp"

namespace cosoc::conv2d::test {
namespace {

Layer depthwise(Size in, std::int64_t channels, Size kernel = {3, 3}) {
  Layer layer;
  layer.in = in;
  layer.in_channels = layer.out_channels = layer.groups = channels;
  layer.kernel = kernel;
  layer.padding = {kernel.rows / 2, 1, kernel.rows / 2, 1};
  layer.in_zero_point = -9;
  return layer;
}

bool uses_window(const Config& config, const Layer& layer) {
  const auto program = Compiler(config).compile(layer);
  REQUIRE(program);
  for (std::size_t at = 0; at < program->instructions.size(); at += isa::instruction_words) {
    const auto words = std::span(program->instructions).subspan(at).first<isa::instruction_words>();
    if (words[0] % 16 != static_cast<std::uint32_t>(isa::Opcode::geometry)) continue;
    if (isa::Geometry::decode(words).window != 0) return true;
  }
  return false;
}

void check_everywhere(const Layer& layer, bool weights = true) {
  unsigned seed = 1;
  for (const Config& config : configs()) {
    CAPTURE(config.input_lanes, config.output_lanes, config.pixel_lanes, config.activation_bits);
    CHECK(uses_window(config, layer));
    Bench bench(config);
    check_layer(bench, config, layer, seed++, weights);
  }
}

TEST_CASE("windows: depthwise layers of every shape") {
  for (const std::int64_t columns : {1, 2, 7, 8, 13}) check_everywhere(depthwise({9, columns}, 21));
  check_everywhere(depthwise({11, 6}, 40, {5, 3}));
  Layer layer = depthwise({10, 9}, 17);
  layer.images = 2;
  layer.residual = Residual{0.75F, 4};
  layer.padding.top = 0;
  check_everywhere(layer);
  layer.dilation.rows = 2;
  layer.padding.bottom = 3;
  layer.clamp_min = -20;
  check_everywhere(layer, false);
}

TEST_CASE("windows: a layer in tiles of rows, some of them wholly outside of the input") {
  Config config = configs().front();
  config.feature_words = 256;
  Layer layer = depthwise({20, 14}, 48);
  CHECK(uses_window(config, layer));
  Bench tiled(config);
  check_layer(tiled, config, layer, 7);
  layer.padding.top = layer.padding.bottom = 30;
  Bench padded(config);
  check_layer(padded, config, layer, 8);
}

TEST_CASE("windows: not where a tile of whole rows does not fit, but tiles of a part of them do") {
  Config config = configs().front();
  config.feature_words = 256;
  const Layer wide = depthwise({5, 500}, 17);
  CHECK_FALSE(uses_window(config, wide));
  Bench tiled(config);
  check_layer(tiled, config, wide, 9);
}

TEST_CASE("windows: only where they give the right result, and sooner") {
  const Config config = configs().front();
  const Layer plain = depthwise({9, 8}, 16);
  CHECK(uses_window(config, plain));
  const auto changed = [&](auto change) {
    Layer layer = plain;
    change(layer);
    return uses_window(config, layer);
  };
  CHECK_FALSE(changed([](Layer& layer) { layer.stride.rows = 2; }));
  CHECK_FALSE(changed([](Layer& layer) { layer.stride.columns = 2; }));
  CHECK_FALSE(changed([](Layer& layer) { layer.padding.left = 0; }));
  CHECK_FALSE(changed([](Layer& layer) { layer.padding.left = 2; }));
  CHECK_FALSE(changed([](Layer& layer) { layer.padding.right = 0; }));
  CHECK_FALSE(changed([](Layer& layer) { layer.dilation.columns = 2; }));
  CHECK_FALSE(changed([](Layer& layer) { layer.kernel.columns = 5; }));
  CHECK_FALSE(changed([](Layer& layer) { layer.groups = 8; }));
  CHECK_FALSE(changed([](Layer& layer) { layer.out_channels = 32; }));
  CHECK_FALSE(changed([](Layer& layer) { layer.pooling = MaxPooling{{2, 2}, {2, 2}, {}}; }));
  CHECK_FALSE(changed([](Layer& layer) {
    layer.kernel.rows = 17;
    layer.padding.top = layer.padding.bottom = 8;
  }));
  // One group of pixels without windows, and more than one with them.
  Config wide = config;
  wide.input_lanes = wide.output_lanes = wide.pixel_lanes = 16;
  CHECK_FALSE(uses_window(wide, depthwise({4, 4}, 16, {1, 3})));
}

TEST_CASE("windows: a layer takes less time") {
  Config config = configs().front();
  config.input_lanes = config.output_lanes = 16;
  config.pixel_lanes = 4;
  config.feature_words = 16384;
  config.memory_ports = 2;  // with one, memory is what such a layer waits for
  const auto cycles = [&](std::int64_t right) {
    Layer layer = depthwise({30, 30}, 64);
    layer.padding.right = right;
    return Compiler(config).compile(layer)->cycles;
  };
  CHECK(cycles(1) < 0.7 * cycles(2));
}

}  // namespace
}  // namespace cosoc::conv2d::test
