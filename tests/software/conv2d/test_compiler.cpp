/// Compiled layers on the functional model against plain loops, with the waits of every program checked.
#include "software/conv2d/support.hpp"

namespace cosoc::conv2d::test {
namespace {

Layer convolution(Size in, std::int64_t in_channels, std::int64_t out_channels, Size kernel, std::int64_t padding = 0) {
  Layer layer;
  layer.in = in;
  layer.in_channels = in_channels;
  layer.out_channels = out_channels;
  layer.kernel = kernel;
  layer.padding = {padding, padding, padding, padding};
  return layer;
}

void check_everywhere(const Layer& layer, bool weights = true) {
  unsigned seed = 1;
  for (const Config& config : configs()) {
    CAPTURE(config.input_lanes, config.output_lanes, config.pixel_lanes, config.activation_bits);
    Bench bench(config);
    check_layer(bench, config, layer, seed++, weights);
  }
}

TEST_CASE("the Conv2D compiler: convolutions") {
  check_everywhere(convolution({7, 9}, 20, 37, {3, 3}, 1));
  check_everywhere(convolution({1, 1}, 1, 1, {1, 1}));
  check_everywhere(convolution({5, 5}, 33, 16, {1, 1}));
  check_everywhere(convolution({3, 2}, 7, 5, {5, 5}, 4));
}

TEST_CASE("the Conv2D compiler: strides, dilation, rectangular kernels") {
  Layer layer = convolution({13, 11}, 18, 9, {3, 3}, 1);
  for (std::int64_t stride = 2; stride <= 4; ++stride) {
    layer.stride = {stride, stride};
    check_everywhere(layer);
  }
  layer.kernel = {1, 1};
  layer.padding = {2, 1, 0, 3};
  layer.stride = {3, 2};
  layer.in_zero_point = 5;
  check_everywhere(layer);
  layer = convolution({9, 12}, 6, 10, {1, 7}, 0);
  layer.padding = {0, 3, 0, 3};
  check_everywhere(layer);
  layer.kernel = {3, 2};
  layer.dilation = {2, 3};
  layer.padding = {1, 2, 3, 0};
  layer.in_zero_point = -3;
  check_everywhere(layer);
}

TEST_CASE("the Conv2D compiler: inputs of few channels are folded") {
  for (std::int64_t channels = 1; channels <= 4; ++channels) {
    Layer layer = convolution({15, 14}, channels, 12, {7, 7}, 3);
    layer.stride = {2, 2};
    layer.in_zero_point = 11;
    check_everywhere(layer);
    layer.kernel = {3, 5};
    layer.stride = {1, 3};
    layer.dilation = {1, 2};
    check_everywhere(layer);
  }
}

TEST_CASE("the Conv2D compiler: groups") {
  Layer layer = convolution({6, 7}, 40, 40, {3, 3}, 1);
  layer.groups = 40;
  check_everywhere(layer);
  layer.groups = 4;
  check_everywhere(layer);
  layer.groups = 5;
  layer.out_channels = 15;
  check_everywhere(layer);
  layer = convolution({4, 5}, 12, 24, {3, 3}, 1);
  layer.groups = 12;
  check_everywhere(layer);
}

TEST_CASE("the Conv2D compiler: residual, clamp, pooling") {
  Layer layer = convolution({8, 10}, 17, 21, {3, 3}, 1);
  layer.residual = Residual{0.75F, -4};
  layer.out_zero_point = 3;
  layer.clamp_min = -100;
  layer.clamp_max = 90;
  check_everywhere(layer);
  layer.pooling = MaxPooling{{3, 3}, {2, 2}, {1, 1, 1, 1}};
  check_everywhere(layer);
  layer.residual.reset();
  layer.pooling = MaxPooling{{2, 3}, {2, 1}, {0, 2, 1, 0}};
  check_everywhere(layer);
}

TEST_CASE("the Conv2D compiler: other layers") {
  check_everywhere(average_pooling(2, {7, 7}, 19, {7, 7}, {7, 7}), false);
  check_everywhere(elementwise_add(2, {5, 6}, 35, {1.25F, 7}), false);
  check_everywhere(fully_connected(3, 130, 50));
  check_everywhere(fully_connected(1, 700, 11));
  Layer pooling = convolution({9, 8}, 40, 40, {1, 1});
  pooling.kind = Kind::max_pooling;
  pooling.pooling = MaxPooling{{3, 3}, {2, 2}, {1, 1, 1, 1}};
  check_everywhere(pooling);
  Layer row = convolution({1, 30}, 12, 9, {1, 5});
  row.padding = {0, 2, 0, 2};
  check_everywhere(row);
}

TEST_CASE("the Conv2D compiler: transposed convolutions") {
  Layer layer = convolution({4, 5}, 18, 7, {3, 3}, 1);
  layer.kind = Kind::transposed_convolution;
  layer.stride = {2, 2};
  layer.output_padding = {1, 1};
  layer.in_zero_point = 0;
  check_everywhere(layer);
  layer.kernel = {2, 4};
  layer.stride = {3, 2};
  layer.padding = {0, 1, 0, 1};
  layer.residual = Residual{0.5F, 2};
  check_everywhere(layer);
  layer.kernel = {3, 3};
  layer.dilation = {2, 1};
  layer.output_padding = {0, 0};
  check_everywhere(layer);
}

TEST_CASE("the Conv2D compiler: layers larger than the buffers") {
  const Config small = config_of(8, 8, 4, 8, 2, 1024, 128);
  Bench bench(small);
  check_layer(bench, small, convolution({24, 20}, 40, 40, {3, 3}, 1), 1);
  check_layer(bench, small, convolution({3, 300}, 20, 9, {3, 3}, 1), 2);
  check_layer(bench, small, convolution({4, 5}, 300, 10, {3, 3}, 1), 3);  // 342 steps
  check_layer(bench, small, fully_connected(2, 5000, 30), 4);
}

/// Number of LOADs from a base register.
std::size_t loads_from(const Program& program, std::uint32_t base) {
  std::size_t count = 0;
  for (std::size_t at = 0; at < program.instructions.size(); at += isa::instruction_words) {
    const auto words = std::span(program.instructions).subspan(at).first<isa::instruction_words>();
    if ((words[0] & 0xF) == static_cast<std::uint32_t>(isa::Opcode::load)) {
      count += isa::Load::decode(words).base == base ? 1 : 0;
    }
  }
  return count;
}

/// Runs a block of a residual network: two convolutions, the second with the block's input added, then pooling.
void check_block(const Config& config, Size in_size, std::int64_t channels, bool resident) {
  CAPTURE(config.input_lanes, config.pixel_lanes, config.activation_bits, config.feature_words);
  Bench bench(config);
  std::mt19937 random(3);
  const Compiler compiler(config);
  Layer plain = convolution(in_size, channels, channels, {3, 3}, 1);
  Layer added = plain;
  added.residual = Residual{0.5F, 3};
  Layer pooling = convolution(in_size, channels, channels, {1, 1});
  pooling.kind = Kind::max_pooling;
  pooling.pooling = MaxPooling{{2, 2}, {2, 2}, {}};
  const std::vector<LayerCall> calls = {{plain, {0, 0}, {1, 0}, {}},
                                        {plain, {1, 0}, {3, 0}, {}},
                                        {added, {3, 0}, {4, 64}, {1, 0}},
                                        {pooling, {4, 64}, {5, 0}, {}}};
  const auto program = compiler.compile(calls, {2, 0});
  REQUIRE(program);
  CHECK((loads_from(*program, 1) + loads_from(*program, 3) + loads_from(*program, 4) == 0) == resident);
  Map map = random_map(config, 1, in_size, channels, random);
  bench.put(0, map.stored(config));
  std::vector<Map> results;
  for (std::size_t i = 0; i < calls.size(); ++i) {
    const Data data = random_data(config, calls[i].layer, true, random);
    REQUIRE(compiler.pack_constants(program->constants[i], data.constants(), bench.bytes(2)));
    map = expected(config, calls[i].layer, data, map, i == 2 ? &results[0] : nullptr);
    results.push_back(map);
  }
  bench.run(*program);
  bench.run(*program);  // the waits cover what stands before the program
  for (std::size_t i = 0; i < calls.size(); ++i) {
    Map found = results[i];
    found.read(config, bench.at(calls[i].out.base) + calls[i].out.offset);
    compare(results[i], found);
  }
}

TEST_CASE("the Conv2D compiler: layers in one program, with results that stay in the buffer") {
  for (const Config& config : configs()) check_block(config, {9, 9}, 24, true);
  check_block(config_of(8, 8, 4, 8, 2, 1024, 256), {20, 16}, 24, false);
  check_block(config_of(16, 16, 8, 8, 2, 512, 128), {20, 16}, 24, false);
}

Layer random_layer(std::mt19937& random, const Config& config) {
  const auto draw = [&](int low, int high) { return std::uniform_int_distribution<int>(low, high)(random); };
  const auto kernel = [&] { return std::min(draw(1, 7), draw(1, 7)); };
  Layer layer;
  layer.images = draw(1, 2);
  layer.in = {draw(1, 14), draw(1, 14)};
  layer.groups = draw(0, 2) == 0 ? draw(1, 9) : 1;
  layer.in_channels = layer.groups * (draw(0, 2) == 0 ? draw(1, 4) : draw(1, layer.groups > 1 ? 12 : 70));
  layer.out_channels = layer.groups * draw(1, layer.groups > 1 ? 9 : 50);
  layer.kernel = {kernel(), kernel()};
  layer.stride = {draw(1, 4), draw(1, 4)};
  layer.dilation = {draw(1, 2), draw(1, 2)};
  layer.padding = {draw(0, 3), draw(0, 3), draw(0, 3), draw(0, 3)};
  layer.kind = draw(0, 5) == 0 ? Kind::transposed_convolution : Kind::convolution;
  layer.in_zero_point = draw(-128, 127);
  layer.out_zero_point = draw(-20, 20);
  const bool wide = config.activation_bits == 16;
  layer.clamp_max = wide ? draw(1000, 32767) : draw(50, 127);
  layer.clamp_min = wide ? draw(-32768, 0) : draw(-128, 0);
  if (draw(0, 2) == 0) layer.residual = Residual{static_cast<float>(draw(0, 300)) / 128.0F, draw(-128, 127)};
  if (draw(0, 2) == 0 && layer.kind == Kind::convolution) {
    layer.pooling = MaxPooling{{draw(1, 3), draw(1, 3)}, {draw(1, 3), draw(1, 3)}, {}};
    layer.pooling->padding = {draw(0, static_cast<int>(layer.pooling->window.rows) - 1), 0, 0,
                              draw(0, static_cast<int>(layer.pooling->window.columns) - 1)};
  }
  return layer;
}

TEST_CASE("the Conv2D compiler: random layers") {
  unsigned checked = 0;
  for (const Config& config : configs()) {
    Bench bench(config);
    for (unsigned seed = 0; seed < 25; ++seed) {
      std::mt19937 random(seed + 1000 * config.pixel_lanes);
      const Layer layer = random_layer(random, config);
      if (!validate(config, layer)) continue;
      CAPTURE(seed, config.input_lanes, config.output_lanes, config.pixel_lanes, config.activation_bits);
      CAPTURE(layer.images, layer.in.rows, layer.in.columns, layer.in_channels, layer.out_channels, layer.groups);
      CAPTURE(layer.kernel.rows, layer.kernel.columns, layer.stride.rows, layer.stride.columns);
      CAPTURE(static_cast<int>(layer.kind), layer.pooling.has_value(), layer.residual.has_value());
      check_layer(bench, config, layer, seed);
      ++checked;
    }
  }
  CHECK(checked > 80);
}

TEST_CASE("the Conv2D compiler: what cannot be done is named") {
  const Config config = config_of(8, 8, 4, 8, 1, 256, 64);
  const Compiler compiler(config);
  const auto message = [&](const Layer& layer) {
    const auto program = compiler.compile(layer);
    REQUIRE_FALSE(program);
    return program.error().message;
  };
  using Catch::Contains;
  CHECK_THAT(message(convolution({9, 9}, 4000, 8, {3, 3})), Contains("feature_words = 256"));
  Layer layer = convolution({9, 9}, 10, 8, {3, 3});
  layer.groups = 4;
  CHECK_THAT(message(layer), Contains("4 groups"));
  layer = convolution({9, 9}, 10, 8, {3, 3});
  layer.stride = {8, 1};
  CHECK_THAT(message(layer), Contains("stride of rows = 8") && Contains("1..7"));
  CHECK_THAT(message(convolution({2, 2}, 1, 1, {3, 3})), Contains("no output"));
  layer = convolution({9, 9}, 1, 1, {1, 1});
  layer.residual = Residual{5000.0F, 0};
  CHECK_THAT(message(layer), Contains("residual multiplier"));
  const auto program = compiler.compile(convolution({2, 2}, 1, 1, {1, 1}));
  REQUIRE(program);
  const std::vector<std::int8_t> weight(16, -128);
  const std::vector<std::int32_t> bias(1);
  const std::vector<float> multiplier(1, 1.0F);
  std::vector<std::byte> packed(program->constant_bytes);
  const Status status = compiler.pack_constants(program->constants[0], {weight, bias, multiplier}, packed);
  REQUIRE_FALSE(status);
  CHECK_THAT(status.error().message, Contains("-128"));
}

}  // namespace
}  // namespace cosoc::conv2d::test
