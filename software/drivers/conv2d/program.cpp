#include "drivers/conv2d/program.hpp"

#include <algorithm>
#include <array>
#include <bit>

namespace cosoc::conv2d {
namespace {

using isa::Opcode;
using isa::Unit;

constexpr std::uint32_t max_fold_channels = 4;

template <class... Values>
bool all_set(Values... values) {
  return ((values != 0) && ...);
}

/// The fields of a tile that must not be zero.
template <class Tile>
bool has_tile(const Tile& tile) {
  return all_set(tile.rows, tile.columns, tile.words);
}

bool is_good(const Config&, const isa::Load& load) {
  if (!has_tile(load) || load.fold_channels > max_fold_channels) return false;
  if (load.fold_channels == 0) return true;
  const std::int64_t most_skip = fold_skips(load.fold_channels) ? most_fold_skip : 0;
  return load.fold_stride != 0 && load.words == 1 && (load.twin == 0 || load.twin < load.fold_stride) &&
         std::max(load.fold_skip, load.twin_skip) <= most_skip;
}
bool is_good(const Config&, const isa::Weights& weights) { return all_set(weights.steps); }
bool is_good(const Config&, const isa::Channels& channels) { return all_set(channels.blocks); }
bool is_good(const Config&, const isa::Micro& micro) {
  return all_set(micro.count) && micro.count <= isa::micro_entries;
}
bool is_good(const Config& config, const isa::Geometry& geometry) {
  return all_set(geometry.stride_rows, geometry.stride_columns, geometry.out_columns) &&
         geometry.phases_log2 <= std::countr_zero(config.pixel_lanes) &&
         (geometry.window == 0 ||
          (geometry.stride_rows == 1 && geometry.stride_columns == 1 && geometry.phases_log2 == 0));
}
bool is_good(const Config&, const isa::Output&) { return true; }
bool is_good(const Config& config, const isa::Compute& compute) {
  return all_set(compute.pixels, compute.blocks, compute.micro_count) && compute.out_part < Extents(config).word_parts;
}
bool is_good(const Config&, const isa::Store& store) {
  return has_tile(store) && all_set(store.window_rows, store.window_columns, store.stride_rows, store.stride_columns,
                                    store.in_rows, store.in_columns);
}

template <class Fields>
tl::expected<Instruction, ErrorCode> checked(const Config& config, InstructionWords words) {
  const Fields fields = Fields::decode(words);
  if (!is_good(config, fields)) return tl::make_unexpected(ErrorCode::bad_parameter);
  return Instruction(fields);
}

}  // namespace

Extents::Extents(const Config& config)
    : activation_bytes(config.activation_bits / 8),
      accumulator_bits(activation_bytes == 1 ? 32 : 48),
      word_channels(word_bytes / activation_bytes),
      word_steps(word_channels / config.input_lanes),
      word_parts(word_channels / config.output_lanes),
      step_bytes(std::size_t{config.input_lanes} * config.output_lanes),
      channel_bytes(activation_bytes == 1 ? 8 : 16),
      banks(std::max<std::size_t>(4, std::size_t{2} * config.pixel_lanes)),
      output_pixels(std::max<std::size_t>(1, config.pixel_lanes / 4)),
      feature_mask(config.feature_words - 1) {}

tl::expected<Instruction, ErrorCode> decode(const Config& config, InstructionWords words) {
  switch (static_cast<Opcode>(words[0] & 0xF)) {
    case Opcode::load:
      return checked<isa::Load>(config, words);
    case Opcode::weights:
      return checked<isa::Weights>(config, words);
    case Opcode::channels:
      return checked<isa::Channels>(config, words);
    case Opcode::micro:
      return checked<isa::Micro>(config, words);
    case Opcode::geometry:
      return checked<isa::Geometry>(config, words);
    case Opcode::output:
      return checked<isa::Output>(config, words);
    case Opcode::compute:
      return checked<isa::Compute>(config, words);
    case Opcode::store:
      return checked<isa::Store>(config, words);
  }
  return tl::make_unexpected(ErrorCode::bad_opcode);
}

std::string_view name_of(const Instruction& instruction) {
  constexpr std::array<std::string_view, 8> names = {"LOAD",     "WEIGHTS", "CHANNELS", "MICRO",
                                                     "GEOMETRY", "OUTPUT",  "COMPUTE",  "STORE"};
  return names[instruction.index()];
}

Unit unit_of(const Instruction& instruction) {
  if (std::holds_alternative<isa::Load>(instruction)) return Unit::load;
  if (std::holds_alternative<isa::Store>(instruction)) return Unit::store;
  const bool constants =
      std::holds_alternative<isa::Weights>(instruction) || std::holds_alternative<isa::Channels>(instruction);
  return constants ? Unit::weights : Unit::compute;
}

bool is_counted(const Instruction& instruction) {
  return unit_of(instruction) != Unit::compute || std::holds_alternative<isa::Compute>(instruction);
}

MicroOperation micro_operation(const isa::Micro& micro, std::size_t index) {
  const std::array<MicroOperation, isa::micro_entries> entries = {
      MicroOperation{micro.offset0, micro.row0, micro.column0, micro.words0},
      MicroOperation{micro.offset1, micro.row1, micro.column1, micro.words1},
      MicroOperation{micro.offset2, micro.row2, micro.column2, micro.words2},
      MicroOperation{micro.offset3, micro.row3, micro.column3, micro.words3}};
  return entries[index];
}

Pixel PixelWalk::at(std::uint32_t pixel) const {
  const std::uint32_t row = pixel / geometry_.out_columns;
  const std::uint32_t column = pixel % geometry_.out_columns;
  // Unsigned: row steps may be negative, and addresses wrap anyway.
  const auto row_step = [&](std::int32_t step) { return row * static_cast<std::uint32_t>(step); };
  return {.address = compute_.in_address + geometry_.stride_columns * pixel + row_step(geometry_.row_step),
          .row = compute_.in_row + static_cast<std::int32_t>(geometry_.stride_rows * row),
          .column = compute_.in_column + static_cast<std::int32_t>(geometry_.stride_columns * column),
          .out_address = compute_.out_address + pixel + row_step(output_.row_step)};
}

WrittenBytes::WrittenBytes(const Extents& extents, std::size_t keep_low, std::size_t keep_high)
    : begin(std::min(word_bytes, keep_low * extents.activation_bytes)),
      end(std::max(begin, word_bytes - std::min(word_bytes, keep_high * extents.activation_bytes))) {}

FoldedWords::FoldedWords(const Extents& extents, const isa::Load& load)
    : of_word(extents, load.fold_keep_low, load.fold_keep_high),
      of_twin(extents, load.twin_keep_low, load.twin_keep_high) {
  const auto pixels =
      static_cast<std::size_t>(folded_pixels(static_cast<std::int64_t>(extents.word_channels), load.fold_channels));
  const std::size_t length = std::size_t{load.fold_left} + load.columns + load.fold_right;
  const auto made = [&](std::size_t first) {
    return length < first + pixels ? 0 : (length - first - pixels) / load.fold_stride + 1;
  };
  words = made(0);
  twins = load.twin == 0 ? 0 : made(load.twin);
}

std::uint64_t base_of(const Command& command, std::size_t index) {
  const std::array bases = {command.base0, command.base1, command.base2, command.base3,
                            command.base4, command.base5, command.base6, command.base7};
  return bases[index];
}

}  // namespace cosoc::conv2d
