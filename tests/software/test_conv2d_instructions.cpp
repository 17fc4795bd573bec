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

/// Folds 3 rows of 9 pixels into words that hold something before, and compares every channel.
template <class Activation>
void check_folding(const Config& used, isa::Load load, bool dense) {
  Engine engine(used);
  constexpr std::size_t columns = 9;
  constexpr std::size_t lanes = word_bytes / sizeof(Activation);
  const std::size_t pitch = dense ? 1 : 3;
  load.rows = 3;
  load.columns = columns;
  load.words = 1;
  load.row_pitch = 40;
  load.pixel_pitch = static_cast<std::uint16_t>(pitch);
  load.address_row_pitch = 30;
  load.zero_point = sizeof(Activation) == 1 ? -7 : -1234;
  constexpr std::size_t twins = 100;  // words from words to twins
  load.twin_offset = twins;
  const isa::Load before = {.rows = 1, .columns = twins + 90, .words = 1, .pixel_pitch = 1};
  fill(engine, 0, (twins + 90) * word_bytes);
  REQUIRE(engine.run(Program(before, load, dump(0, twins + 90))) == ErrorCode::none);

  const Activation* memory = engine.at<Activation>(0);
  const Activation* found = engine.at<Activation>(1);
  const std::size_t channels = load.fold_channels;
  const std::size_t needed_pixels = (lanes + (channels == 3 ? 2 : 0) + channels - 1) / channels;
  for (std::size_t y = 0; y < 3; ++y) {
    std::vector<Activation> sequence(load.fold_left * channels, static_cast<Activation>(load.zero_point));
    for (std::size_t i = 0; i < columns * channels; ++i) {
      const Activation value = memory[(y * 40 + i / channels * pitch) * lanes + i % channels];
      sequence.push_back(load.fold_blank != 0 ? static_cast<Activation>(load.zero_point) : value);
    }
    sequence.resize(sequence.size() + load.fold_right * channels, static_cast<Activation>(load.zero_point));
    for (std::size_t word = 0; word < 30; ++word) {
      const std::size_t first = word * load.fold_stride * channels;
      const bool made = first + needed_pixels * channels <= sequence.size();
      const bool has_twin =
          load.twin != 0 && first + load.twin * channels + needed_pixels * channels <= sequence.size();
      for (std::size_t lane = 0; lane < lanes; ++lane) {
        const auto check = [&](std::size_t index, bool kept, std::size_t value) {
          const std::size_t at = index * lanes + lane;
          CAPTURE(y, word, lane, kept);
          REQUIRE(found[at] == (kept ? memory[at] : sequence[first + value + lane]));
        };
        const auto keeps = [&](std::size_t low, std::size_t high) { return lane < low || lane + high >= lanes; };
        check(y * 30 + word, !made || keeps(load.fold_keep_low, load.fold_keep_high), load.fold_skip);
        check(twins + y * 30 + word, !has_twin || keeps(load.twin_keep_low, load.twin_keep_high),
              load.twin * channels + load.twin_skip);
      }
    }
  }
}

TEST_CASE("LOAD folds channels of neighbouring pixels") {
  for (std::uint8_t channels = 1; channels <= 4; ++channels) {
    for (const std::uint8_t stride : {1, 2, 5}) {
      CAPTURE(channels, stride);
      isa::Load load;
      load.fold_channels = channels;
      load.fold_stride = stride;
      load.fold_left = 3;
      load.fold_right = 2;
      check_folding<std::int8_t>(config, load, channels % 2 == 0);
      load.fold_left = 0;
      load.fold_right = 15;
      check_folding<std::int8_t>(config, load, channels % 2 != 0);
      load.fold_left = 15;
      load.fold_right = 0;
      check_folding<std::int16_t>(config_of(4, 8, 2, 16), load, true);
    }
  }
}

TEST_CASE("LOAD gives folded words twins that begin some pixels later") {
  for (std::uint8_t channels = 1; channels <= 4; ++channels) {
    for (std::uint8_t stride = 2; stride <= 5; ++stride) {
      for (std::uint8_t twin = 1; twin < stride; ++twin) {
        CAPTURE(channels, stride, twin);
        isa::Load load;
        load.fold_channels = channels;
        load.fold_stride = stride;
        load.fold_left = 4;
        load.fold_right = 5;
        load.twin = twin;
        load.twin_keep_low = 1;
        load.twin_keep_high = twin;
        if (channels == 3) {
          load.fold_skip = static_cast<std::uint8_t>(twin % 3);
          load.twin_skip = static_cast<std::uint8_t>((twin + 1) % 3);
        }
        check_folding<std::int8_t>(config, load, true);
        check_folding<std::int16_t>(config_of(4, 8, 2, 16), load, false);
      }
    }
  }
}

TEST_CASE("LOAD folds into some channels of words, from any channel of a pixel of three, and blank rows") {
  for (std::uint8_t skip = 0; skip <= 2; ++skip) {
    for (const auto& [low, high] :
         {std::pair(0, 0), std::pair(5, 6), std::pair(0, 11), std::pair(15, 0), std::pair(3, 4), std::pair(10, 10)}) {
      for (const std::uint8_t blank : {0, 1}) {
        CAPTURE(skip, low, high, blank);
        isa::Load load;
        load.fold_channels = 3;
        load.fold_stride = 2;
        load.fold_left = 3;
        load.fold_right = 4;
        load.fold_skip = skip;
        load.fold_keep_low = static_cast<std::uint8_t>(low);
        load.fold_keep_high = static_cast<std::uint8_t>(high);
        load.fold_blank = blank;
        check_folding<std::int8_t>(config, load, true);
        check_folding<std::int16_t>(config_of(4, 8, 2, 16), load, false);
      }
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
