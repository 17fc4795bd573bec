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
  const Transfer transfer = transfer_of(places_.in, pass_.in_shape, tile.image, pass_.rows, pass_.columns, tile.in_rows,
                                        tile.in_columns, false);
  for (std::int64_t word = 0; word < pass_.in_shape.words; word += most_words) {
    const std::int64_t words = std::min(most_words, pass_.in_shape.words - word);
    isa::Load load;
    transfer.place_in(load, word, words);
    load.address = low16(region.begin + word * shape_.in_plane);
    load.address_row_pitch = static_cast<std::uint16_t>(shape_.in_row_pitch);
    load.address_plane_pitch = low16(shape_.in_plane);
    if (pass_.fold) {
      const ColumnFold& fold = *pass_.fold;
      const std::int64_t first = fold.origin + fold.stride * tile.out_columns.begin;
      const std::int64_t end =
          fold.origin + fold.stride * (tile.out_columns.end - 1 + pass_.columns.taps.back()) + fold.pixels;
      load.fold_channels = static_cast<std::uint8_t>(fold.channels);
      load.fold_left = static_cast<std::uint8_t>(std::max<std::int64_t>(0, -first));
      load.fold_right = static_cast<std::uint8_t>(std::max<std::int64_t>(0, end - pass_.columns.in));
      load.fold_stride = static_cast<std::uint8_t>(fold.stride);
      load.zero_point = static_cast<std::int16_t>(layer_.in_zero_point);
    }
    const Effect effect = {{transfer.bytes(word, words)},
                           {features(region.begin + word * shape_.in_plane, words * shape_.in_plane)},
                           transfer.cycles(config_, words)};
    engine_.features.use(region, assembler_.emit(load, effect));
  }
}

void Generator::load_residual(const Tile& tile, Region& region) {
  const TensorShape pooled = {pass_.rows.out, pass_.columns.out, pass_.out_shape.words};
  const Transfer transfer = transfer_of(places_.residual, pass_.pooling ? pooled : pass_.out_shape, tile.image,
                                        pass_.rows, pass_.columns, tile.out_rows, tile.out_columns, true);
  for (std::int64_t word = 0; word < pass_.out_shape.words; word += most_words) {
    const std::int64_t words = std::min(most_words, pass_.out_shape.words - word);
    isa::Load load;
    transfer.place_in(load, word, words);
    load.address = low16(region.begin + word * shape_.out_plane);
    load.address_row_pitch = static_cast<std::uint16_t>(shape_.out_row_pitch);
    load.address_plane_pitch = low16(shape_.out_plane);
    const Effect effect = {{transfer.bytes(word, words)},
                           {features(region.begin + word * shape_.out_plane, words * shape_.out_plane)},
                           transfer.cycles(config_, words)};
    engine_.features.use(region, assembler_.emit(load, effect));
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
