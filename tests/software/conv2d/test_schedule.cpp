/// What schedules promise to the search for tilings.
#include "drivers/conv2d/estimator.hpp"
#include "drivers/conv2d/generator.hpp"
#include "software/conv2d/support.hpp"

namespace cosoc::conv2d::test {
namespace {

/// Bound by the array, by weights, by reads and writes, and with a pooling.
std::vector<Layer> layers() {
  Layer convolution;
  convolution.in = {14, 13};
  convolution.in_channels = 48;
  convolution.out_channels = 40;
  convolution.kernel = {3, 3};
  convolution.padding = {1, 1, 1, 1};
  Layer pooled = convolution;
  pooled.pooling = MaxPooling{{3, 3}, {2, 2}, {1, 1, 1, 1}};
  return {convolution, pooled, fully_connected(1, 256, 128), elementwise_add(1, {20, 20}, 32, {0.5F, 1}),
          average_pooling(1, {12, 12}, 64, {3, 3}, {1, 1})};
}

TEST_CASE("a limit of a schedule cuts only what takes as long") {
  for (const Config& config : configs()) {
    for (const Layer& layer : layers()) {
      CAPTURE(config.pixel_lanes, layer.in.rows, layer.in_channels);
      const auto program = Compiler(config).compile(layer);
      REQUIRE(program);
      const double cycles = schedule(config, program->instructions).cycles;
      const auto limited = [&](double limit) {
        return schedule(config, program->instructions, default_memory_latency, limit).cycles;
      };
      CHECK(limited(cycles + 0.5) == cycles);
      CHECK(limited(cycles) == cycles);
      CHECK(limited(cycles / 2) == cycles / 2);
    }
  }
}

TEST_CASE("an estimator that was given a limit finds more when asked with a higher one") {
  const Config config = configs().front();
  const auto program = Compiler(config).compile(layers().front());
  REQUIRE(program);
  const double cycles = schedule(config, program->instructions).cycles;
  Estimator estimator(config, default_memory_latency);
  CHECK(estimator.cycles(program->instructions, 100) >= 100);
  CHECK(estimator.cycles(program->instructions, cycles / 2) >= cycles / 2);
  CHECK(estimator.cycles(program->instructions) == cycles);
  CHECK(estimator.cycles(program->instructions, 100) >= 100);
}

/// The cycles of a layer of one pass with each of the tilings worth trying.
std::vector<double> cycles_of_tilings(const Config& config, const Layer& layer) {
  constexpr std::size_t tried = 8;  // numbers of row tiles, for a program of one layer
  const std::vector<Pass> passes = passes_of(config, layer);
  REQUIRE(passes.size() == 1);
  const Pass& pass = passes.front();
  const auto place = [](Base base) { return Place{static_cast<std::uint32_t>(base), 0}; };
  const Places places = {place(Base::input), place(Base::output), place(Base::residual), place(Base::constants)};
  std::vector<double> cycles;
  for (const Tiling& tiling : tilings(config, pass, layer.residual.has_value(), {}, config.feature_words, tried)) {
    const ConstantLayout constants = make_layout(config, pass, tiling.blocks, tiling.words);
    Engine engine(config);
    if (!generate({config, layer, pass, tiling, {}, constants, places}, engine)) continue;
    cycles.push_back(schedule(config, engine.assembler.finish()).cycles);
  }
  return cycles;
}

TEST_CASE("the compiler takes the tiling of the fewest cycles") {
  std::size_t choices = 0;
  for (const Config& config : configs()) {
    for (const Layer& layer : layers()) {
      CAPTURE(config.pixel_lanes, layer.in.rows, layer.in_channels);
      const auto program = Compiler(config).compile(layer);
      REQUIRE(program);
      const std::vector<double> cycles = cycles_of_tilings(config, layer);
      REQUIRE_FALSE(cycles.empty());
      const auto [least, most] = std::minmax_element(cycles.begin(), cycles.end());
      CHECK(program->cycles == *least);
      if (*most > 1.2 * *least && cycles.front() > *least && cycles.back() > *least) ++choices;
    }
  }
  // Neither the first nor the last one would do.
  CHECK(choices >= 10);
}

}  // namespace
}  // namespace cosoc::conv2d::test
