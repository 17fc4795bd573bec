/// What the Conv2D engine loads and stores.
#include <random>

#include "software/conv2d_programs.hpp"

namespace cosoc::conv2d::test {
namespace {

const Config config = config_of(4, 8, 2);

TEST_CASE("LOAD places rows, pixels and words; addresses wrap") {
  Engine engine(config);
  fill(engine, 0, 64 * word_bytes);
  // 2 rows of 3 pixels of 2 words, with gaps on both sides.
  const isa::Load load{.base = 0,
                       .offset = 3,
                       .rows = 2,
                       .columns = 3,
                       .words = 2,
                       .row_pitch = 20,
                       .pixel_pitch = 5,
                       .address = 4090,
                       .address_row_pitch = 4,
                       .address_plane_pitch = 4000};
  isa::Store last = dump(4095, 1);
  last.offset = 4095;
  REQUIRE(engine.run(Program(load, dump(0, 4095), last)) == ErrorCode::none);
  for (std::size_t y = 0; y < 2; ++y) {
    for (std::size_t x = 0; x < 3; ++x) {
      for (std::size_t w = 0; w < 2; ++w) {
        const std::size_t address = (4090 + y * 4 + x + w * 4000) % 4096;
        CAPTURE(y, x, w, address);
        CHECK(bytes_of(engine, 1, address) == bytes_of(engine, 0, 3 + y * 20 + x * 5 + w));
      }
    }
  }
  CHECK(bytes_of(engine, 1, 20) == std::vector<std::int8_t>(word_bytes, Machine::unspecified));
}

TEST_CASE("LOAD without gaps gives the same as with them") {
  Engine engine(config);
  fill(engine, 0, 64 * word_bytes);
  isa::Load load{.rows = 3,
                 .columns = 4,
                 .words = 2,
                 .row_pitch = 9,
                 .pixel_pitch = 2,
                 .address_row_pitch = 4,
                 .address_plane_pitch = 12};
  REQUIRE(engine.run(Program(load, dump(0, 24))) == ErrorCode::none);
  for (std::size_t i = 0; i < 24; ++i) {
    CHECK(bytes_of(engine, 1, i) == bytes_of(engine, 0, i % 12 / 4 * 9 + i % 4 * 2 + i / 12));
  }
}

template <class Activation>
void check_folding(const Config& used, std::uint8_t channels, std::uint8_t stride, std::uint8_t left,
                   std::uint8_t right, bool dense) {
  Engine engine(used);
  constexpr std::size_t columns = 9;
  const std::size_t pitch = dense ? 1 : 3;
  fill(engine, 0, 3 * 40 * word_bytes);
  isa::Load load{.rows = 3,
                 .columns = columns,
                 .words = 1,
                 .row_pitch = 40,
                 .pixel_pitch = static_cast<std::uint16_t>(pitch),
                 .address_row_pitch = 30};
  load.fold_channels = channels;
  load.fold_left = left;
  load.fold_right = right;
  load.fold_stride = stride;
  load.zero_point = sizeof(Activation) == 1 ? -7 : -1234;
  REQUIRE(engine.run(Program(load, dump(0, 90))) == ErrorCode::none);

  const std::size_t pixels = word_bytes / sizeof(Activation) / channels;
  const std::size_t length = left + columns + right;
  for (std::size_t y = 0; y < 3; ++y) {
    std::size_t words = 0;
    for (std::size_t first = 0; first + pixels <= length; first += stride, ++words) {
      for (std::size_t i = 0; i < pixels * channels; ++i) {
        const std::size_t pixel = first + i / channels;
        Activation expected = static_cast<Activation>(load.zero_point);
        if (pixel >= left && pixel < left + columns) {
          expected = engine.at<Activation>(
              0)[(y * 40 + (pixel - left) * pitch) * word_bytes / sizeof(Activation) + i % channels];
        }
        CAPTURE(y, words, i);
        REQUIRE(engine.at<Activation>(1)[(y * 30 + words) * word_bytes / sizeof(Activation) + i] == expected);
      }
    }
    CHECK(bytes_of(engine, 1, y * 30 + words) == std::vector<std::int8_t>(word_bytes, Machine::unspecified));
  }
}

TEST_CASE("LOAD folds channels of neighbouring pixels") {
  for (std::uint8_t channels = 1; channels <= 4; ++channels) {
    for (const std::uint8_t stride : {1, 2, 5}) {
      CAPTURE(channels, stride);
      check_folding<std::int8_t>(config, channels, stride, 3, 2, channels % 2 == 0);
      check_folding<std::int8_t>(config, channels, stride, 0, 15, channels % 2 != 0);
      check_folding<std::int16_t>(config_of(4, 8, 2, 16), channels, stride, 15, 0, true);
    }
  }
}

template <class Activation>
void check_store(const Config& used, std::mt19937& random) {
  const auto draw = [&](std::int32_t low, std::int32_t high) {
    return std::uniform_int_distribution<std::int32_t>(low, high)(random);
  };
  Engine engine(used);
  fill(engine, 0, 4096 * word_bytes, static_cast<unsigned>(draw(0, 1 << 20)));
  isa::Store store{.base = 1,
                   .offset = 5,
                   .rows = 3,
                   .columns = 4,
                   .words = 2,
                   .row_pitch = 50,
                   .pixel_pitch = static_cast<std::uint16_t>(draw(2, 3)),
                   .address = 4000,
                   .address_row_pitch = 11,
                   .address_plane_pitch = 77};
  store.window_rows = static_cast<std::uint8_t>(draw(1, 4));
  store.window_columns = static_cast<std::uint8_t>(draw(1, 15));
  store.stride_rows = static_cast<std::uint8_t>(draw(1, 3));
  store.stride_columns = static_cast<std::uint8_t>(draw(1, 7));
  store.in_rows = static_cast<std::uint16_t>(draw(1, 7));
  store.in_columns = static_cast<std::uint16_t>(draw(1, 11));
  store.origin_row = static_cast<std::int8_t>(draw(-16, 5));
  store.origin_column = static_cast<std::int8_t>(draw(-5, 5));
  REQUIRE(engine.run(Program(row(0, 2048),
                             isa::Load{.offset = 2048,
                                       .rows = 1,
                                       .columns = 2048,
                                       .words = 1,
                                       .row_pitch = 1,
                                       .pixel_pitch = 1,
                                       .address = 2048},
                             store)) == ErrorCode::none);
  constexpr std::size_t channels = word_bytes / sizeof(Activation);
  for (std::int32_t y = 0; y < 3; ++y) {
    for (std::int32_t x = 0; x < 4; ++x) {
      for (std::int32_t c = 0; c < static_cast<std::int32_t>(2 * channels); ++c) {
        std::int32_t expected = std::numeric_limits<Activation>::min();
        for (std::int32_t wy = 0; wy < store.window_rows; ++wy) {
          for (std::int32_t wx = 0; wx < store.window_columns; ++wx) {
            const std::int32_t iy = store.origin_row + y * store.stride_rows + wy;
            const std::int32_t ix = store.origin_column + x * store.stride_columns + wx;
            if (iy < 0 || ix < 0 || iy >= store.in_rows || ix >= store.in_columns) continue;
            const std::int32_t word = (4000 + iy * 11 + ix + c / static_cast<std::int32_t>(channels) * 77) % 4096;
            const std::int32_t value = engine.at<Activation>(
                0)[word * static_cast<std::int32_t>(channels) + c % static_cast<std::int32_t>(channels)];
            expected = std::max(expected, value);
          }
        }
        CAPTURE(y, x, c);
        REQUIRE(engine.at<Activation>(
                    1)[(5 + y * 50 + x * store.pixel_pitch) * static_cast<std::int32_t>(channels) + c] == expected);
      }
    }
  }
}

TEST_CASE("STORE takes the maximum over windows, on the tile only") {
  std::mt19937 random(5);
  for (int i = 0; i < 40; ++i) {
    CAPTURE(i);
    check_store<std::int8_t>(config, random);
    check_store<std::int16_t>(config_of(4, 8, 2, 16), random);
  }
}

}  // namespace
}  // namespace cosoc::conv2d::test
