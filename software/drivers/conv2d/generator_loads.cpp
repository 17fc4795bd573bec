/// LOAD, WEIGHTS and CHANNELS of a pass.
#include "drivers/conv2d/pass_generator.hpp"

namespace cosoc::conv2d {

std::optional<Generator::Loaded> Generator::load(const Tile& tile) {
  Loaded loaded;
  const double needed_at = now(isa::Unit::load);
  if (residency_.in) {
    loaded.in = residency_.in->region;
  } else if (tile.in_rows.size() > 0) {
    const auto region = engine_.features.allocate(shape_.in_words, needed_at);
    if (!region) return {};
    loaded.in = *region;
  }
  if (residency_.residual) {
    loaded.residual = residency_.residual->region;
  } else if (layer_.residual) {
    const auto region = engine_.features.allocate(shape_.out_plane * pass_.out_shape.words, needed_at);
    if (!region) return {};
    loaded.residual = *region;
  }
  if (loaded.in.words > 0 && !residency_.in) load_input(tile, loaded.in);
  if (loaded.residual.words > 0 && !residency_.residual) load_residual(tile, loaded.residual);
  return loaded;
}

void Generator::load_input(const Tile& tile, Region& region) {
  if (pass_.fold && pass_.fold->lines > 0) return load_lines(tile, region);
  const Transfer transfer = transfer_of(places_.in, pass_.in_shape, tile.image, pass_.rows, pass_.columns, tile.in_rows,
                                        tile.in_columns, false);
  for (std::int64_t word = 0; word < pass_.in_shape.words; word += most_words) {
    const std::int64_t words = std::min(most_words, pass_.in_shape.words - word);
    isa::Load load;
    load.address = low16(region.begin + word * shape_.in_plane);
    load.address_row_pitch = static_cast<std::uint16_t>(shape_.in_row_pitch);
    load.address_plane_pitch = low16(shape_.in_plane);
    if (pass_.fold) set_fold(load, pass_.sequence({}, tile.out_columns));
    emit_load(load, transfer, word, words, region, features(load.address, words * shape_.in_plane), false);
  }
}

void Generator::load_lines(const Tile& tile, Region& region) {
  const Fold& fold = *pass_.fold;
  // Groups that have a line in the tile.
  const auto groups_of = [&](std::int64_t line) {
    return Range{divide_up(tile.in_rows.begin - line, fold.lines), divide_up(tile.in_rows.end - line, fold.lines)};
  };
  bool first = true;
  for (const FoldedLoad& load : fold.loads) {
    Range words = groups_of(load.word.line);
    if (load.twin) {
      Range twins = groups_of(load.twin->line);
      const Range both = {words.begin, std::min(words.end, twins.end)};
      load_groups(tile, region, load, both, first);
      words.begin = twins.begin = both.end;
      load_groups(tile, region, {*load.twin, {}}, twins, first);
    }
    load_groups(tile, region, {load.word, {}}, words, first);
  }
}

void Generator::load_groups(const Tile& tile, Region& region, const FoldedLoad& load, Range groups, bool& first) {
  const std::int64_t row = pass_.fold->row_origin + load.word.row;  // of group 0
  const auto groups_above = [&](std::int64_t end) {
    return std::clamp(divide_up(end - row, pass_.fold->row_stride), groups.begin, groups.end);
  };
  if (groups.size() <= 0) return;
  const std::int64_t begin = groups_above(0);
  const std::int64_t end = std::max(begin, groups_above(pass_.in_shape.rows));
  for (const Range some : {Range{groups.begin, begin}, Range{begin, end}, Range{end, groups.end}}) {
    if (some.size() == 0) continue;
    load_rows(tile, region, load, some, some.begin != begin || begin == end, !first);
    first = false;
  }
}

void Generator::load_rows(const Tile& tile, Region& region, const FoldedLoad& load, Range groups, bool blank,
                          bool beside_own_writes) {
  const Fold& fold = *pass_.fold;
  const auto address = [&](std::int64_t line) {
    return region.begin + (groups.begin * fold.lines + line - tile.in_rows.begin) * shape_.in_row_pitch;
  };
  const FoldedSequence sequence = pass_.sequence(load, tile.out_columns);
  const std::int64_t row = blank ? 0 : fold.row_origin + load.word.row + fold.row_stride * groups.begin;
  Transfer transfer =
      transfer_of(places_.in, pass_.in_shape, tile.image, {}, {}, {row, row + groups.size()}, sequence.pixels, false);
  transfer.row_pitch *= blank ? 0 : fold.row_stride;
  isa::Load instruction;
  instruction.address = low16(address(load.word.line));
  instruction.address_row_pitch = static_cast<std::uint16_t>(fold.lines * shape_.in_row_pitch);
  set_fold(instruction, sequence);
  const auto above = [&](const FoldedRow& part) {
    return static_cast<std::uint8_t>(word_channels(config_) - part.lane - part.count);
  };
  instruction.fold_keep_low = static_cast<std::uint8_t>(load.word.lane);
  instruction.fold_keep_high = above(load.word);
  instruction.fold_blank = blank ? 1 : 0;
  if (load.twin) {
    instruction.twin = static_cast<std::uint8_t>(sequence.twin);
    instruction.twin_skip = static_cast<std::uint8_t>(sequence.twin_skip);
    instruction.twin_offset = signed16(address(load.twin->line) - address(load.word.line) - sequence.behind);
    instruction.twin_keep_low = static_cast<std::uint8_t>(load.twin->lane);
    instruction.twin_keep_high = above(*load.twin);
  }
  emit_load(instruction, transfer, 0, 1, region, features(region.begin, region.words), beside_own_writes);
}

void Generator::set_fold(isa::Load& load, const FoldedSequence& sequence) const {
  load.fold_channels = static_cast<std::uint8_t>(pass_.fold->channels);
  load.fold_left = static_cast<std::uint8_t>(sequence.left);
  load.fold_right = static_cast<std::uint8_t>(sequence.right);
  load.fold_stride = static_cast<std::uint8_t>(pass_.fold->stride);
  load.fold_skip = static_cast<std::uint8_t>(sequence.skip);
  load.zero_point = static_cast<std::int16_t>(layer_.in_zero_point);
}

void Generator::emit_load(isa::Load& load, const Transfer& transfer, std::int64_t word, std::int64_t words,
                          Region& region, const Interval& written, bool beside_own_writes) {
  transfer.place_in(load, word, words);
  const Effect effect = {{transfer.bytes(word, words)}, {written}, transfer.cycles(config_, words), beside_own_writes};
  engine_.features.use(region, assembler_.emit(load, effect));
}

void Generator::load_residual(const Tile& tile, Region& region) {
  const TensorShape pooled = {pass_.rows.out, pass_.columns.out, pass_.out_shape.words};
  const Transfer transfer = transfer_of(places_.residual, pass_.pooling ? pooled : pass_.out_shape, tile.image,
                                        pass_.rows, pass_.columns, tile.out_rows, tile.out_columns, true);
  for (std::int64_t word = 0; word < pass_.out_shape.words; word += most_words) {
    const std::int64_t words = std::min(most_words, pass_.out_shape.words - word);
    isa::Load load;
    load.address = low16(region.begin + word * shape_.out_plane);
    load.address_row_pitch = static_cast<std::uint16_t>(shape_.out_row_pitch);
    load.address_plane_pitch = low16(shape_.out_plane);
    emit_load(load, transfer, word, words, region, features(load.address, words * shape_.out_plane), false);
  }
}

std::int64_t Generator::weights_of(std::int64_t index) {
  const WeightSegment& segment = constants_.segments[static_cast<std::size_t>(index)];
  const std::int64_t key = segment_key_ + index;
  if (const auto address = engine_.weights.find(key)) return *address;
  const std::int64_t address = engine_.weights.insert(key, segment.steps);
  const std::uint64_t offset = places_.constants.offset + static_cast<std::uint64_t>(segment.offset);
  const auto bytes = static_cast<std::uint64_t>(segment.steps * step_bytes(config_));
  isa::Weights weights;
  weights.base = static_cast<std::uint8_t>(places_.constants.base);
  weights.offset = static_cast<std::uint32_t>(offset / word_bytes);
  weights.steps = static_cast<std::uint16_t>(segment.steps);
  weights.address = static_cast<std::uint16_t>(address);
  Effect effect;
  effect.reads.push_back(tensor_bytes(places_.constants.base, offset, offset + bytes));
  add_wrapped(effect.writes, Memory::weights, address, segment.steps, config_.weight_steps);
  effect.cycles = static_cast<double>(bytes) / word_bytes * word_cycles(config_) / config_.memory_ports;
  assembler_.emit(weights, effect);
  return address;
}

std::int64_t Generator::channels_of(std::int64_t block) {
  const std::int64_t first = block / channel_blocks_ * channel_blocks_;
  const std::int64_t key = channel_key_ + block / channel_blocks_;
  if (const auto address = engine_.channels.find(key)) return (*address + block - first) % config_.channel_blocks;
  const std::int64_t blocks = std::min(channel_blocks_, pass_.out_blocks - first);
  const std::int64_t address = engine_.channels.insert(key, blocks);
  const std::int64_t block_bytes = config_.output_lanes * channel_bytes(config_);
  const std::uint64_t offset =
      places_.constants.offset + static_cast<std::uint64_t>(constants_.channel_offset + first * block_bytes);
  const auto bytes = static_cast<std::uint64_t>(blocks * block_bytes);
  isa::Channels channels;
  channels.base = static_cast<std::uint8_t>(places_.constants.base);
  channels.offset = static_cast<std::uint32_t>(offset / word_bytes);
  channels.blocks = static_cast<std::uint16_t>(blocks);
  channels.address = static_cast<std::uint16_t>(address);
  Effect effect;
  effect.reads.push_back(tensor_bytes(places_.constants.base, offset, offset + bytes));
  add_wrapped(effect.writes, Memory::channels, address, blocks, config_.channel_blocks);
  effect.cycles = static_cast<double>(bytes) / word_bytes * word_cycles(config_);
  assembler_.emit(channels, effect);
  return (address + block - first) % config_.channel_blocks;
}

}  // namespace cosoc::conv2d
