/// Programs of the Conv2D engine for tests: an assembler by hand, and an engine with memory.
#pragma once

#include <catch2/catch.hpp>
#include <cstring>
#include <random>
#include <vector>

#include "drivers/conv2d/machine.hpp"

namespace cosoc::conv2d::test {

/// Encoded instructions.
class Program {
 public:
  template <class... Fields>
  explicit Program(const Fields&... instructions) {
    (add(instructions), ...);
  }
  template <class Fields>
  Program& add(const Fields& instruction) {
    const auto encoded = instruction.encode();
    words_.insert(words_.end(), encoded.begin(), encoded.end());
    return *this;
  }
  std::vector<std::uint32_t>& words() { return words_; }
  const std::vector<std::uint32_t>& words() const { return words_; }
  std::uint32_t count() const { return static_cast<std::uint32_t>(words_.size() / isa::instruction_words); }
  std::span<std::uint32_t, isa::instruction_words> operator[](std::size_t index) {
    return std::span(words_).subspan(index * isa::instruction_words).first<isa::instruction_words>();
  }

 private:
  std::vector<std::uint32_t> words_;
};

/// A configuration; the array, then the width of activations and the ports.
inline Config config_of(std::uint32_t input_lanes, std::uint32_t output_lanes, std::uint32_t pixel_lanes,
                        std::uint32_t activation_bits = 8, std::uint32_t memory_ports = 1) {
  return {.activation_bits = activation_bits,
          .input_lanes = input_lanes,
          .output_lanes = output_lanes,
          .pixel_lanes = pixel_lanes,
          .feature_words = 4096,
          .weight_steps = 4096,
          .channel_blocks = 64,
          .memory_ports = memory_ports,
          .memory_port_bits = 128};
}

/// A machine with its memory. Base i of commands is `region` * i above the first byte; programs lie in region 7.
class Engine {
 public:
  static constexpr std::uint64_t physical = 0x1000'0000;
  static constexpr std::uint64_t region = 1 << 20;

  explicit Engine(const Config& config) : machine(config), bytes_(8 * region), memory_(bytes_, physical) {}

  static std::uint64_t base(std::size_t index) { return physical + index * region; }
  template <class T = std::int8_t>
  T* at(std::size_t index) {
    return reinterpret_cast<T*>(bytes_.data() + index * region);
  }

  Command command(const Program& program) const {
    return {.instruction_address = base(7),
            .instruction_count = program.count(),
            .base0 = base(0),
            .base1 = base(1),
            .base2 = base(2),
            .base3 = base(3),
            .base4 = base(4),
            .base5 = base(5),
            .base6 = base(6),
            .base7 = base(7)};
  }

  ErrorCode run(const Program& program) { return run(program, command(program)); }
  /// Transfers may reach up to `limit`.
  ErrorCode run(const Program& program, const Command& command, std::uint64_t limit = UINT64_MAX) {
    std::memcpy(at<std::byte>(7), program.words().data(), 4 * program.words().size());
    CommandMemory memory(memory_, 0, limit);
    const ErrorCode error = machine.run(command, memory);
    transfer_error = memory.error();
    return error;
  }

  Machine machine;
  ErrorCode transfer_error = ErrorCode::none;

 private:
  std::vector<std::byte> bytes_;
  DeviceMemory memory_;
};

/// Writes one channel of pixels that are whole words.
inline void put(std::int8_t* base, std::size_t words, const Extents& extents, std::size_t pixel, std::size_t channel,
                std::int64_t value) {
  std::memcpy(base + pixel * words * word_bytes + channel * extents.activation_bytes, &value, extents.activation_bytes);
}
inline std::int32_t get(const std::int8_t* base, std::size_t words, const Extents& extents, std::size_t pixel,
                        std::size_t channel) {
  const std::int8_t* place = base + pixel * words * word_bytes + channel * extents.activation_bytes;
  if (extents.activation_bytes == 1) return *place;
  std::int16_t value = 0;
  std::memcpy(&value, place, sizeof(value));
  return value;
}

/// Puts a step's weight where a WEIGHTS instruction of `steps` steps expects it.
inline void put_weight(std::int8_t* base, const Config& config, std::size_t steps, std::size_t step, std::size_t lane,
                       std::size_t input, std::int32_t value) {
  const std::size_t part = std::size_t{config.input_lanes} * config.output_lanes / config.memory_ports;
  const std::size_t byte = lane * config.input_lanes + input;
  base[byte / part * steps * part + step * part + byte % part] = static_cast<std::int8_t>(value);
}

inline void put_channel(std::int8_t* base, const Extents& extents, std::size_t channel, std::int64_t bias,
                        float multiplier) {
  std::int8_t* place = base + channel * extents.channel_bytes;
  std::memcpy(place, &bias, extents.channel_bytes / 2);
  std::memcpy(place + extents.channel_bytes / 2, &multiplier, sizeof(multiplier));
}

/// Bytes that differ from word to word and inside a word.
inline void fill(Engine& engine, std::size_t base, std::size_t bytes, unsigned seed = 1) {
  std::mt19937 random(seed);
  for (std::size_t i = 0; i < bytes; ++i) engine.at(base)[i] = static_cast<std::int8_t>(random());
}

inline std::vector<std::int8_t> bytes_of(Engine& engine, std::size_t base, std::size_t word, std::size_t words = 1) {
  const std::int8_t* first = engine.at(base) + word_bytes * word;
  return {first, first + word_bytes * words};
}

/// Stores `words` words from `address` up as a row of pixels.
inline isa::Store dump(std::uint16_t address, std::uint16_t words) {
  return {.base = 1,
          .rows = 1,
          .columns = words,
          .words = 1,
          .row_pitch = words,
          .pixel_pitch = 1,
          .address = address,
          .window_rows = 1,
          .window_columns = 1,
          .stride_rows = 1,
          .stride_columns = 1,
          .in_rows = 1,
          .in_columns = words};
}

inline isa::Load row(std::uint16_t address, std::uint16_t words) {
  return {.rows = 1, .columns = words, .words = 1, .row_pitch = words, .pixel_pitch = 1, .address = address};
}

// Settings and a COMPUTE of one pixel of one word.
inline isa::Geometry one_pixel() {
  return {.rows = 1,
          .columns = 1,
          .plane_pitch = 1,
          .stride_rows = 1,
          .stride_columns = 1,
          .out_columns = 1,
          .group_rows = 2,
          .group_step = 2};
}
inline isa::Output plain() { return {.plane_pitch = 1, .group_step = 2, .clamp_min = -128, .clamp_max = 127}; }
inline isa::Micro one_word() { return {.count = 1, .words0 = 1}; }
inline isa::Compute compute(std::uint16_t in, std::uint16_t out) {
  return {.in_address = in, .out_address = out, .pixels = 1, .blocks = 1, .micro_count = 1};
}

}  // namespace cosoc::conv2d::test
