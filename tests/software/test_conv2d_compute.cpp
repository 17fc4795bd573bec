/// COMPUTE of the Conv2D engine: accumulators, blocks, widths.
#include <cmath>

#include "software/conv2d_programs.hpp"

namespace cosoc::conv2d::test {
namespace {

// An engine of 16 x 16 lanes and one pixel of one word, so that sums are dot products of a word and a row of weights.
const Config wide = config_of(16, 16, 2);
constexpr std::size_t lanes = 16;

/// Puts small weights for `steps` steps in region 2, and channel parameters for `blocks` blocks in region 3.
void put_constants(Engine& engine, std::size_t steps, std::size_t blocks) {
  const Extents extents(wide);
  for (std::size_t i = 0; i < steps * lanes * lanes; ++i) {
    engine.at(2)[i] = static_cast<std::int8_t>(static_cast<int>(i * 7 % 13) - 6);
  }
  for (std::size_t i = 0; i < blocks * lanes; ++i) {
    put_channel(engine.at(3), extents, i, static_cast<std::int64_t>(i) - 20, 0.03125F);
  }
}

std::int32_t weight(Engine& engine, std::size_t step, std::size_t out, std::size_t in) {
  return engine.at(2)[(step * lanes + out) * lanes + in];
}

/// The dot product of input word `word` with the weights of an output.
std::int32_t dot(Engine& engine, std::size_t word, std::size_t step, std::size_t out) {
  std::int32_t sum = 0;
  for (std::size_t i = 0; i < lanes; ++i) sum += engine.at(0)[word * lanes + i] * weight(engine, step, out, i);
  return sum;
}

std::int8_t result_of(std::int32_t sum, std::size_t channel) {
  const double value = (sum + static_cast<std::int32_t>(channel) - 20) * 0.03125;
  return static_cast<std::int8_t>(std::clamp(std::nearbyint(value), -128.0, 127.0));
}

TEST_CASE("sums are kept and continued") {
  Engine engine(wide);
  fill(engine, 0, 4 * word_bytes);
  put_constants(engine, 3, 1);
  isa::Compute first = compute(0, 10), second = compute(1, 10), third = compute(2, 10);
  first.keep = second.keep = second.accumulate = third.accumulate = 1;
  second.weight_address = 1;
  third.weight_address = 2;
  // In three commands, with the buffers and settings of the first.
  REQUIRE(engine.run(Program(row(0, 4), isa::Weights{.base = 2, .steps = 3}, isa::Channels{.base = 3, .blocks = 1},
                             one_word(), one_pixel(), plain(), first)) == ErrorCode::none);
  REQUIRE(engine.run(Program(second, dump(10, 1))) == ErrorCode::none);
  CHECK(bytes_of(engine, 1, 0) == std::vector<std::int8_t>(word_bytes, Machine::unspecified));
  REQUIRE(engine.run(Program(third, dump(10, 1))) == ErrorCode::none);
  for (std::size_t o = 0; o < lanes; ++o) {
    const std::int32_t sum = dot(engine, 0, 0, o) + dot(engine, 1, 1, o) + dot(engine, 2, 2, o);
    CHECK(engine.at(1)[o] == result_of(sum, o));
  }
}

TEST_CASE("a group continues from the sums of the group before it") {
  Engine engine(wide);
  fill(engine, 0, 8 * word_bytes);
  put_constants(engine, 1, 1);
  isa::Geometry four = one_pixel();
  four.columns = 8;
  four.out_columns = 4;
  four.group_rows = 0;
  four.group_columns = 2;
  isa::Compute first = compute(4, 10), second = compute(0, 20);
  first.keep = 1;
  first.pixels = 2;
  second.accumulate = 1;
  second.pixels = 4;
  REQUIRE(engine.run(Program(row(0, 8), isa::Weights{.base = 2, .steps = 1}, isa::Channels{.base = 3, .blocks = 1},
                             one_word(), four, plain(), first, second, dump(20, 4))) == ErrorCode::none);
  for (std::size_t o = 0; o < lanes; ++o) {
    for (std::size_t lane = 0; lane < 2; ++lane) {
      std::int32_t sum = dot(engine, 4 + lane, 0, o) + dot(engine, lane, 0, o);
      CHECK(engine.at(1)[lane * lanes + o] == result_of(sum, o));
      sum += dot(engine, 2 + lane, 0, o);
      CHECK(engine.at(1)[(2 + lane) * lanes + o] == result_of(sum, o));
    }
  }
}

TEST_CASE("blocks move over inputs, weights, channels and parts of words") {
  // 8 output lanes: two blocks a word; the first block goes into the upper half of the first word.
  const Config halves = config_of(16, 8, 2);
  Engine engine(halves);
  const Extents extents(halves);
  fill(engine, 0, 8 * word_bytes);
  for (std::size_t i = 0; i < 3 * 8 * 16; ++i) engine.at(2)[i] = static_cast<std::int8_t>(static_cast<int>(i % 11) - 5);
  for (std::size_t i = 0; i < 4 * 8; ++i) put_channel(engine.at(3), extents, i, static_cast<std::int64_t>(i), 0.03125F);
  isa::Compute three = compute(0, 100);
  three.blocks = 3;
  three.block_step = 2;
  three.out_part = 1;
  three.weight_address = 4094;  // wraps
  three.channel_address = 1;
  REQUIRE(engine.run(Program(row(0, 8), isa::Weights{.base = 2, .steps = 3, .address = 4094},
                             isa::Channels{.base = 3, .blocks = 4}, one_word(), one_pixel(), plain(), three,
                             dump(100, 2))) == ErrorCode::none);
  for (std::size_t i = 0; i < 8; ++i) CHECK(engine.at(1)[i] == Machine::unspecified);
  for (std::size_t b = 0; b < 3; ++b) {
    for (std::size_t o = 0; o < 8; ++o) {
      std::int32_t sum = static_cast<std::int32_t>((b + 1) * 8 + o);
      for (std::size_t i = 0; i < 16; ++i) sum += engine.at(0)[2 * b * 16 + i] * engine.at(2)[(b * 8 + o) * 16 + i];
      CAPTURE(b, o);
      CHECK(engine.at(1)[(b + 1) * 8 + o] ==
            static_cast<std::int8_t>(std::clamp(std::nearbyint(sum * 0.03125), -128.0, 127.0)));
    }
  }
}

TEST_CASE("accumulators wrap: 32 bits, and 48 bits with int16") {
  Engine engine(config_of(4, 8, 2));
  const Extents extents(engine.machine.config());
  put_channel(engine.at(3), extents, 0, INT32_MAX, 0x1p-24F);
  engine.at(2)[0] = 1;
  engine.at(0)[0] = 1;
  Program program(row(0, 1), isa::Weights{.base = 2, .steps = 4}, isa::Channels{.base = 3, .blocks = 1}, one_word(),
                  one_pixel(), plain(), compute(0, 1), dump(1, 1));
  REQUIRE(engine.run(program) == ErrorCode::none);
  CHECK(engine.at(1)[0] == -128);

  Engine int16_engine(config_of(4, 8, 2, 16));
  put_channel(int16_engine.at(3), Extents(int16_engine.machine.config()), 0, (std::int64_t{1} << 47) - 1, 0x1p-40F);
  int16_engine.at(2)[0] = 1;
  int16_engine.at(0)[0] = 1;
  REQUIRE(int16_engine.run(program) == ErrorCode::none);
  CHECK(int16_engine.at<std::int16_t>(1)[0] == -128);
}

TEST_CASE("the operands of an int16 engine have 16 bits, however long the reduction") {
  const Config used = config_of(8, 8, 1, 16);
  Engine engine(used);
  for (std::size_t i = 0; i < 200 * 8; ++i) engine.at<std::int16_t>(0)[i] = -32768;
  std::memset(engine.at(2), -128, 200 * 64);
  put_channel(engine.at(3), Extents(used), 3, 0, 0x1p-20F);
  isa::Geometry long_row = one_pixel();
  isa::Micro micro = one_word();
  micro.words0 = 200;
  isa::Output output = plain();
  output.clamp_min = -32768;
  output.clamp_max = 32767;
  REQUIRE(engine.run(Program(row(0, 200), isa::Weights{.base = 2, .steps = 200}, isa::Channels{.base = 3, .blocks = 1},
                             micro, long_row, output, compute(0, 300), dump(300, 1))) == ErrorCode::none);
  CHECK(engine.at<std::int16_t>(1)[3] == 1600 * 4);  // products of 2^22
}

}  // namespace
}  // namespace cosoc::conv2d::test
