/// What instructions touch: parts of the buffers, and tiles of tensors in memory.
#pragma once

#include "drivers/conv2d/generator.hpp"

namespace cosoc::conv2d {

inline constexpr std::int64_t most_words = 255;  // LOAD.words, STORE.words and words of a micro-operation
inline constexpr std::int64_t word_bytes = 16;
inline constexpr double shortest_transfer = 4.138;  // cycles of a port

/// Cycles in which a port carries a word.
inline double word_cycles(const Config& config) {
  return 8.0 * static_cast<double>(word_bytes) / config.memory_port_bits;
}

inline std::uint16_t low16(std::int64_t value) { return static_cast<std::uint16_t>(value & 0xFFFF); }
inline std::int16_t signed16(std::int64_t value) { return static_cast<std::int16_t>(low16(value)); }

/// An interval of a buffer of `size` units whose addresses wrap.
inline void add_wrapped(std::vector<Interval>& intervals, Memory memory, std::int64_t begin, std::int64_t count,
                        std::int64_t size) {
  const auto number = static_cast<std::uint32_t>(memory);
  const std::int64_t first = std::min(count, size - begin);
  intervals.push_back({number, static_cast<std::uint64_t>(begin), static_cast<std::uint64_t>(begin + first)});
  if (count > first) intervals.push_back({number, 0, static_cast<std::uint64_t>(count - first)});
}

inline Interval features(std::int64_t begin, std::int64_t words) {
  return {static_cast<std::uint32_t>(Memory::features), static_cast<std::uint64_t>(begin),
          static_cast<std::uint64_t>(begin + words)};
}

/// `words` words at the beginning of each of some planes.
inline void add_planes(std::vector<Interval>& intervals, std::int64_t begin, std::int64_t planes, std::int64_t pitch,
                       std::int64_t words) {
  if (words == pitch) return intervals.push_back(features(begin, planes * pitch));
  for (std::int64_t plane = 0; plane < planes; ++plane) intervals.push_back(features(begin + plane * pitch, words));
}

/// A tile of a tensor in memory, in words of 16 bytes.
struct Transfer {
  Place place;
  std::int64_t first = 0;  // word of the first pixel
  std::int64_t rows = 1;
  std::int64_t columns = 1;
  std::int64_t row_pitch = 1;
  std::int64_t pixel_pitch = 1;

  Interval bytes(std::int64_t word, std::int64_t words) const {
    const std::uint64_t begin = place.offset + static_cast<std::uint64_t>((first + word) * word_bytes);
    const std::int64_t last = (rows - 1) * row_pitch + (columns - 1) * pixel_pitch;
    return tensor_bytes(place.base, begin, begin + static_cast<std::uint64_t>((last + words) * word_bytes));
  }

  template <class Instruction>
  void place_in(Instruction& instruction, std::int64_t word, std::int64_t words) const {
    instruction.base = static_cast<std::uint8_t>(place.base);
    instruction.offset =
        static_cast<std::uint32_t>(place.offset / word_bytes + static_cast<std::uint64_t>(first + word));
    instruction.rows = static_cast<std::uint16_t>(rows);
    instruction.columns = static_cast<std::uint16_t>(columns);
    instruction.words = static_cast<std::uint8_t>(words);
    // A pitch that nothing uses may be larger than its field.
    instruction.row_pitch = rows > 1 ? static_cast<std::uint32_t>(row_pitch) : 0;
    instruction.pixel_pitch = columns > 1 ? static_cast<std::uint16_t>(pixel_pitch) : 0;
  }

  double cycles(const Config& config, std::int64_t words) const {
    const double of_port = static_cast<double>(divide_up(rows, config.memory_ports));
    const double burst = static_cast<double>(pixel_pitch == words ? columns * words : words);
    const double bursts = pixel_pitch == words ? 1 : static_cast<double>(columns);
    return of_port * bursts * std::max(burst * word_cycles(config), shortest_transfer);
  }
};

/// Part of a tensor: rows and columns of a pass's axes.
inline Transfer transfer_of(const Place& place, const TensorShape& shape, std::int64_t image, const Axis& rows,
                            const Axis& columns, Range y, Range x, bool output) {
  const std::int64_t row_step = output ? rows.out_step : rows.in_step;
  const std::int64_t column_step = output ? columns.out_step : columns.in_step;
  const std::int64_t row = (output ? rows.out_offset : rows.in_offset) + row_step * y.begin;
  const std::int64_t column = (output ? columns.out_offset : columns.in_offset) + column_step * x.begin;
  return {place,
          (image * shape.pixels() + row * shape.columns + column) * shape.words,
          y.size(),
          x.size(),
          row_step * shape.columns * shape.words,
          column_step * shape.words};
}

}  // namespace cosoc::conv2d
