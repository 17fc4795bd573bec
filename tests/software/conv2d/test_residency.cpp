/// Tensors that stay in the feature buffer between the layers of a program, and uneven tiles, against plain loops.
#include "software/conv2d/support.hpp"

namespace cosoc::conv2d::test {
namespace {

Layer convolution(Size in, std::int64_t in_channels, std::int64_t out_channels, std::int64_t kernel,
                  std::int64_t stride = 1) {
  Layer layer;
  layer.in = in;
  layer.in_channels = in_channels;
  layer.out_channels = out_channels;
  layer.kernel = {kernel, kernel};
  layer.stride = {stride, stride};
  const std::int64_t padding = kernel / 2;
  layer.padding = {padding, padding, padding, padding};
  layer.in_zero_point = 4;
  return layer;
}

/// Instructions of a kind that address a base register.
template <class Instruction>
std::size_t count_at(const Program& program, std::uint32_t base) {
  std::size_t count = 0;
  for (std::size_t at = 0; at < program.instructions.size(); at += isa::instruction_words) {
    const auto words = std::span(program.instructions).subspan(at).template first<isa::instruction_words>();
    if ((words[0] & 0xF) != static_cast<std::uint32_t>(Instruction::opcode)) continue;
    count += Instruction::decode(words).base == base ? 1 : 0;
  }
  return count;
}

/// Runs a program twice, the second time with what the first one left in the buffers, and compares the results of the
/// calls that are not temporary. Call i reads the map at its base register: the input at 0 or an earlier result.
Program check_calls(const Config& config, const std::vector<LayerCall>& calls, unsigned seed) {
  CAPTURE(config.input_lanes, config.output_lanes, config.pixel_lanes, config.activation_bits, config.feature_words);
  constexpr std::uint32_t constants = 2;
  Bench bench(config);
  std::mt19937 random(seed);
  const Compiler compiler(config);
  const auto program = compiler.compile(calls, {constants, 0});
  INFO((program ? "" : program.error().message));
  REQUIRE(program);
  const Layer& first = calls.front().layer;
  std::map<std::uint32_t, Map> maps;
  maps.emplace(0, random_map(config, first.images, first.in, first.in_channels, random));
  bench.put(0, maps.at(0).stored(config));
  for (std::size_t i = 0; i < calls.size(); ++i) {
    const LayerCall& call = calls[i];
    const Data data = random_data(config, call.layer, true, random);
    REQUIRE(compiler.pack_constants(program->constants[i], data.constants(), bench.bytes(constants)));
    const Map* residual = call.layer.residual ? &maps.at(call.residual.base) : nullptr;
    maps.insert_or_assign(call.out.base, expected(config, call.layer, data, maps.at(call.in.base), residual));
  }
  for (int run = 0; run < 2; ++run) {
    bench.run(*program);
    for (const LayerCall& call : calls) {
      if (call.temporary) continue;
      Map found = maps.at(call.out.base);
      found.read(config, bench.at(call.out.base));
      compare(maps.at(call.out.base), found);
    }
  }
  return *program;
}

TEST_CASE("the Conv2D compiler: temporary results that fit are neither stored nor loaded") {
  for (const Config& config : configs()) {
    Layer depthwise = convolution({10, 12}, 24, 24, 3);
    depthwise.groups = 24;
    Layer project = convolution({10, 12}, 24, 20, 1);
    project.residual = Residual{0.5F, 3};
    const auto program = check_calls(config,
                                     {{convolution({10, 12}, 20, 20, 3), {0, 0}, {1, 0}, {}, true},
                                      {convolution({10, 12}, 20, 24, 1), {1, 0}, {3, 0}, {}, true},
                                      {depthwise, {3, 0}, {4, 0}, {}, true},
                                      {project, {4, 0}, {5, 0}, {1, 0}}},
                                     1);
    for (const std::uint32_t base : {1, 3, 4}) {
      CHECK(count_at<isa::Load>(program, base) == 0);
      CHECK(count_at<isa::Store>(program, base) == 0);
    }
  }
}

TEST_CASE("the Conv2D compiler: strides over inputs that are in the feature buffer") {
  for (const Config& config : configs()) {
    for (std::int64_t stride = 2; stride <= 3; ++stride) {
      Layer depthwise = convolution({11, 16}, 24, 24, 3, stride);
      depthwise.groups = 24;
      check_calls(config,
                  {{convolution({11, 16}, 8, 24, 1), {0, 0}, {1, 0}, {}, true},
                   {depthwise, {1, 0}, {3, 0}, {}},
                   {convolution({11, 16}, 24, 18, 1, stride), {1, 0}, {4, 0}, {}},
                   {convolution({11, 16}, 24, 18, 3, stride), {1, 0}, {5, 0}, {}}},
                  static_cast<unsigned>(stride));
    }
  }
}

TEST_CASE("the Conv2D compiler: temporary results that have to leave the buffer are stored") {
  const auto calls = [](std::int64_t channels) {
    Layer added = convolution({16, 16}, channels, 8, 3);
    added.residual = Residual{0.25F, -2};
    return std::vector<LayerCall>{{convolution({16, 16}, 8, 8, 3), {0, 0}, {1, 0}, {}, true},
                                  {convolution({16, 16}, 8, channels, 1), {1, 0}, {3, 0}, {}, true},
                                  {convolution({16, 16}, channels, channels, 3), {3, 0}, {4, 0}, {}, true},
                                  {added, {4, 0}, {5, 0}, {1, 0}}};
  };
  std::size_t stores = 0;
  for (const std::uint32_t feature_words : {512U, 1024U, 2048U}) {
    const Config config = config_of(8, 8, 4, 8, 2, feature_words, 256);
    const auto program = check_calls(config, calls(40), feature_words);
    for (const std::uint32_t base : {1, 3, 4}) stores += count_at<isa::Store>(program, base);
  }
  CHECK(stores > 0);
}

TEST_CASE("the Conv2D compiler: temporary results that a layer cannot read in the buffer") {
  const Config config = config_of(8, 8, 4, 8, 2);
  Layer folded = convolution({12, 12}, 3, 8, 5);  // LOAD folds its channels
  Layer pooled = convolution({12, 12}, 8, 3, 3);
  pooled.residual = Residual{0.5F, 1};
  pooled.pooling = MaxPooling{{2, 2}, {2, 2}, {}};
  const auto program = check_calls(config,
                                   {{convolution({12, 12}, 8, 3, 3), {0, 0}, {1, 0}, {}, true},
                                    {folded, {1, 0}, {3, 0}, {}, true},
                                    {pooled, {3, 0}, {4, 0}, {1, 0}}},
                                   5);
  CHECK(count_at<isa::Store>(program, 1) > 0);
  CHECK(count_at<isa::Load>(program, 1) > 0);
}

TEST_CASE("the Conv2D compiler: short tiles at the ends cover every row once") {
  Layer layer = convolution({60, 18}, 3, 20, 7, 2);
  layer.pooling = MaxPooling{{3, 3}, {2, 2}, {1, 1, 1, 1}};
  const Config config = config_of(8, 8, 4, 8, 2, 2048);
  for (const Pass& pass : passes_of(config, layer)) {
    for (std::int64_t tiles = 3; 4 * tiles - 6 <= pass.stored().rows; ++tiles) {
      Tiling tiling;
      tiling.row_tiles = tiles;
      tiling.short_ends = true;
      std::int64_t row = 0;
      for (const Tile& tile : tiles_of(pass, tiling)) {
        CHECK(tile.stored_rows.begin == row);
        CHECK(tile.stored_rows.size() > 0);
        row = tile.stored_rows.end;
      }
      CHECK(row == pass.stored().rows);
      const ConstantLayout layout = make_layout(config, pass, 1, pass.reduction());
      tiling.words = pass.reduction();
      Engine engine(config);
      engine.features = FeatureAllocator(1 << 14);
      CHECK(generate({config, layer, pass, tiling, {}, layout, {}}, engine));
    }
  }
  for (const Config& each : configs()) {
    Bench bench(each);
    check_layer(bench, each, layer, 7);
  }
}

}  // namespace
}  // namespace cosoc::conv2d::test
