/// Programs of the Conv2D engine: instructions as values, what makes one bad, and where it reads and writes.
///
/// docs/conv2d.md is the definition; the machine that executes programs and the checker of their waits share this.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <tl/expected.hpp>
#include <variant>
#include <vector>

#include "cosoc/generated/conv2d.hpp"

namespace cosoc::conv2d {

/// Bytes of a word of the feature buffer, and of a beat of the bus.
inline constexpr std::size_t word_bytes = 16;

/// Operands of a pixel in a step of a COMPUTE with `window`, and most micro-operations that it has.
inline constexpr std::size_t window_taps = 3;
inline constexpr std::size_t window_operations = 16;

using InstructionWords = std::span<const std::uint32_t, isa::instruction_words>;
using Instruction = std::variant<isa::Load, isa::Weights, isa::Channels, isa::Micro, isa::Geometry, isa::Output,
                                 isa::Compute, isa::Store>;

/// What follows from the parameters of an engine.
struct Extents {
  explicit Extents(const Config& config);

  std::size_t activation_bytes;
  int accumulator_bits;
  std::size_t word_channels;   // channels of a word of the feature buffer
  std::size_t word_steps;      // steps in which the array consumes a word
  std::size_t word_parts;      // blocks of output channels that fill a word
  std::size_t step_bytes;      // weights of a step
  std::size_t channel_bytes;   // parameters of a channel
  std::size_t banks;           // of the feature buffer
  std::size_t output_pixels;   // pixels that are requantized at once
  std::uint32_t feature_mask;  // makes an address of the feature buffer one inside it
};

/// The instruction, or the error with which it ends its command.
tl::expected<Instruction, ErrorCode> decode(const Config& config, InstructionWords words);

std::string_view name_of(const Instruction& instruction);
isa::Unit unit_of(const Instruction& instruction);
/// Whether waits count the instruction; they do not count settings.
bool is_counted(const Instruction& instruction);

/// An entry of the micro-program memory.
struct MicroOperation {
  std::int16_t offset = 0;
  std::int8_t row = 0;
  std::int8_t column = 0;
  std::uint8_t words = 1;
};

/// Entry `index` of those that a MICRO instruction writes.
MicroOperation micro_operation(const isa::Micro& micro, std::size_t index);

/// Where one pixel of a COMPUTE is: addresses in the feature buffer, not yet wrapped, and its position in the input.
struct Pixel {
  std::uint32_t address;
  std::int32_t row;
  std::int32_t column;
  std::uint32_t out_address;
};

/// The pixels of a COMPUTE with the settings that it uses.
class PixelWalk {
 public:
  PixelWalk(const Config& config, const isa::Geometry& geometry, const isa::Output& output, const isa::Compute& compute)
      : lanes_(config.pixel_lanes), geometry_(geometry), output_(output), compute_(compute) {}

  std::uint32_t groups() const { return (compute_.pixels + lanes_ - 1) / lanes_; }
  Pixel at(std::uint32_t pixel) const;
  /// Whether this operand of the pixel lies inside the input; those outside are the zero point.
  bool inside(const Pixel& pixel, std::int32_t row, std::int32_t column) const {
    return static_cast<std::uint32_t>(pixel.row + row) < geometry_.rows &&
           static_cast<std::uint32_t>(pixel.column + column) < geometry_.columns;
  }

 private:
  std::uint32_t lanes_;
  isa::Geometry geometry_;
  isa::Output output_;
  isa::Compute compute_;
};

/// Calls `visit(address, bytes, row, first_column, columns)` for each transfer of a tile, LOAD's or STORE's: a row,
/// or a pixel when pixels have gaps between them.
template <class Tile, class Visit>
void for_each_transfer(const Tile& tile, std::uint64_t base, Visit visit) {
  const bool dense = tile.pixel_pitch == tile.words;
  const std::uint32_t columns = dense ? tile.columns : 1;
  for (std::uint32_t row = 0; row < tile.rows; ++row) {
    for (std::uint32_t column = 0; column < tile.columns; column += columns) {
      const std::uint64_t beat =
          std::uint64_t{tile.offset} + std::uint64_t{row} * tile.row_pitch + std::uint64_t{column} * tile.pixel_pitch;
      visit(base + word_bytes * beat, std::uint64_t{columns} * tile.words * word_bytes, row, column, columns);
    }
  }
}

inline constexpr std::int64_t most_fold_skip = 2;

/// Whether LOAD may leave channels of a word's first pixel out: then words may begin with any channel.
constexpr bool fold_skips(std::int64_t channels) { return channels == most_fold_skip + 1; }

/// Pixels that LOAD takes for a word when it folds `channels` of each: as many as it needs with every `fold_skip`.
constexpr std::int64_t folded_pixels(std::int64_t word_channels, std::int64_t channels) {
  return (word_channels + (fold_skips(channels) ? most_fold_skip + channels - 1 : 0)) / channels;
}

/// The bytes of a word that a folding LOAD writes: all but those of some channels.
struct WrittenBytes {
  WrittenBytes(const Extents& extents, std::size_t keep_low, std::size_t keep_high);

  std::size_t begin;
  std::size_t end;
  /// A bit for each.
  std::uint32_t mask() const { return (1U << end) - (1U << begin); }
};

/// What a folding LOAD makes of a row.
struct FoldedWords {
  FoldedWords(const Extents& extents, const isa::Load& load);

  std::size_t words;
  std::size_t twins;  // not more
  WrittenBytes of_word;
  WrittenBytes of_twin;
};

/// Base address `index` of a command.
std::uint64_t base_of(const Command& command, std::size_t index);

}  // namespace cosoc::conv2d
