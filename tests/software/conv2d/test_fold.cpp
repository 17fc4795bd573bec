/// First layers: words of few channels, and words that several rows share.
#include "software/conv2d/support.hpp"

namespace cosoc::conv2d::test {
namespace {

Layer first_layer(Size in, std::int64_t channels, std::int64_t out_channels, std::int64_t kernel, std::int64_t stride) {
  Layer layer;
  layer.in = in;
  layer.in_channels = channels;
  layer.out_channels = out_channels;
  layer.kernel = {kernel, kernel};
  layer.stride = {stride, stride};
  layer.padding = {kernel / 2, kernel / 2, kernel / 2, kernel / 2};
  layer.in_zero_point = -9;
  return layer;
}

std::optional<Pass> sharing(const Config& config, const Layer& layer) {
  return with_shared_words(config, layer, passes_of(config, layer).front());
}

bool shares_words(const Program& program) {
  const auto& fold = program.constants.front().parts.front().pass.fold;
  return fold && fold->lines > 0;
}

const Config large = config_of(16, 16, 8, 8, 2, 65536, 2048);

TEST_CASE("first layers: words of a result where rows share them, and where one row alone fills them") {
  const auto words = [](std::int64_t channels, std::int64_t kernel, std::int64_t stride) {
    const auto pass = sharing(large, first_layer({64, 64}, channels, 64, kernel, stride));
    return pass ? pass->reduction() : 0;
  };
  // The least number is ceil(kernel * kernel * channels / 16).
  CHECK(words(3, 7, 2) == 10);
  CHECK(words(3, 7, 1) == 10);
  CHECK(words(1, 7, 2) == 4);
  CHECK(words(1, 3, 1) == 1);
  CHECK(words(1, 5, 1) == 2);
  CHECK(words(2, 3, 1) == 2);
  CHECK(words(4, 5, 1) == 7);
  CHECK(words(4, 5, 2) == 7);
  CHECK(words(3, 11, 4) == 23);
  CHECK(words(4, 9, 1) == 21);
  CHECK(words(3, 5, 1) == 0);  // 15 of 16 lanes
  CHECK(words(3, 3, 1) == 0);  // two rows of 9 values do not fit
  CHECK(words(4, 4, 2) == 0);  // all lanes
}

TEST_CASE("first layers: shared words hold every value of a patch, and count it once") {
  for (std::int64_t channels = 1; channels <= 4; ++channels) {
    for (std::int64_t kernel = 1; kernel <= 11; ++kernel) {
      for (std::int64_t stride = 1; stride <= 4; ++stride) {
        for (const std::uint32_t bits : {8, 16}) {
          const auto pass = sharing(config_of(8, 8, 4, bits, 2), first_layer({32, 32}, channels, 8, kernel, stride));
          if (!pass) continue;
          CAPTURE(channels, kernel, stride, bits);
          std::vector<int> times(static_cast<std::size_t>(kernel * kernel * channels));
          REQUIRE(std::ssize(pass->fold->values) == pass->reduction());
          for (const auto& word : pass->fold->values) {
            for (const auto& [row, column, channel] : word) {
              if (row >= 0) ++times.at(static_cast<std::size_t>((row * kernel + column) * channels + channel));
            }
          }
          REQUIRE(times == std::vector<int>(times.size(), 1));
        }
      }
    }
  }
}

TEST_CASE("first layers: results of every kernel, stride and number of channels with shared words") {
  std::size_t shared = 0;
  unsigned seed = 1;
  for (const Config& config :
       {config_of(16, 16, 8, 8, 2, 8192, 2048), config_of(8, 8, 4, 8, 1), config_of(8, 8, 2, 16, 2)}) {
    Bench bench(config);
    for (std::int64_t channels = 1; channels <= 4; ++channels) {
      for (const std::int64_t kernel : {2, 3, 5, 7, 9, 11}) {
        for (std::int64_t stride = 1; stride <= 4; ++stride) {
          Layer layer = first_layer({14, 17}, channels, 40, kernel, stride);
          layer.padding = {kernel / 2, kernel / 3, (kernel - 1) / 2, kernel / 2};
          if (seed % 5 == 0) layer.images = 2;
          if (seed % 7 == 0) layer.residual = Residual{0.5F, 3};
          if (seed % 3 == 0) layer.pooling = MaxPooling{{3, 3}, {2, 2}, {1, 1, 1, 1}};
          CAPTURE(channels, kernel, stride, config.activation_bits, config.pixel_lanes);
          if (shares_words(check_layer(bench, config, layer, seed++))) ++shared;
        }
      }
    }
  }
  CHECK(shared > 70);
}

TEST_CASE("first layers: tiles whose rows lie partly or wholly outside of the input") {
  const Config config = config_of(16, 16, 2, 8, 2, 1024, 2048);
  for (const std::int64_t padding : {0, 3, 14}) {
    Layer layer = first_layer({23, 20}, 3, 96, 7, 2);
    layer.padding.top = layer.padding.bottom = padding;
    CAPTURE(padding);
    Bench bench(config);
    CHECK(shares_words(check_layer(bench, config, layer, 5)));
  }
}

TEST_CASE("first layers: rows share words where the array gains more than the loaders lose") {
  const auto shared = [](std::int64_t out_channels, const Config& config) {
    return shares_words(*Compiler(config).compile(first_layer({224, 224}, 3, out_channels, 7, 2)));
  };
  CHECK(shared(64, large));
  CHECK_FALSE(shared(16, large));
  CHECK(shared(16, config_of(16, 16, 2, 8, 2, 32768, 2048)));
}

}  // namespace
}  // namespace cosoc::conv2d::test
