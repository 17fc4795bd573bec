/// GEOMETRY, OUTPUT and COMPUTE of a pass.
#include <cmath>

#include "drivers/conv2d/pass_generator.hpp"

namespace cosoc::conv2d {

void Generator::set_geometry(const Tile& tile) {
  const std::int64_t out_columns = tile.out_columns.size();
  const std::int64_t lanes = config_.pixel_lanes;
  isa::Geometry geometry;
  geometry.rows = static_cast<std::uint16_t>(tile.in_rows.size());
  geometry.columns = static_cast<std::uint16_t>(pass_.window ? out_columns : buffered_columns(pass_, tile));
  geometry.plane_pitch = low16(shape_.in_plane);
  geometry.zero_point = static_cast<std::int16_t>(layer_.in_zero_point);
  geometry.stride_rows = static_cast<std::uint8_t>(pass_.rows.stride);
  geometry.stride_columns = static_cast<std::uint8_t>(pass_.columns.stride);
  geometry.out_columns = static_cast<std::uint16_t>(out_columns);
  geometry.group_rows = static_cast<std::uint8_t>(lanes / out_columns);
  geometry.group_columns = static_cast<std::uint8_t>(lanes % out_columns);
  geometry.group_step = signed16(lanes * pass_.columns.stride);
  geometry.row_step = signed16(pass_.rows.stride * shape_.in_row_pitch - pass_.columns.stride * out_columns);
  geometry.phases_log2 =
      static_cast<std::uint8_t>(read_phases(config_, pass_, shape_.in_row_pitch, out_columns, tile.pixels()));
  geometry.window = pass_.window ? 1 : 0;
  assembler_.emit(geometry, {});
}

void Generator::set_output(const Tile& tile) {
  isa::Output output;
  output.plane_pitch = low16(shape_.out_plane);
  output.group_step = static_cast<std::int16_t>(config_.pixel_lanes);
  output.row_step = signed16(shape_.out_row_pitch - tile.out_columns.size());
  output.zero_point = static_cast<std::int16_t>(layer_.out_zero_point);
  output.clamp_min = static_cast<std::int16_t>(layer_.clamp_min);
  output.clamp_max = static_cast<std::int16_t>(layer_.clamp_max);
  if (layer_.residual) {
    const std::uint32_t fraction =
        config_.activation_bits == 8 ? isa::residual_fraction_int8 : isa::residual_fraction_int16;
    output.residual = 1;
    output.residual_zero_point = static_cast<std::int16_t>(layer_.residual->zero_point);
    const double multiplier = std::ldexp(layer_.residual->multiplier, static_cast<int>(fraction));
    output.residual_multiplier = static_cast<std::uint32_t>(std::llround(multiplier));
  }
  assembler_.emit(output, {});
}

void Generator::compute_blocks_of(const Tile& tile, const Loaded& loaded, const Results& results, std::int64_t block,
                                  std::int64_t blocks) {
  const std::int64_t parts = word_parts(config_);
  const auto first_word = [&](std::int64_t of) { return pass_.first_words[static_cast<std::size_t>(of)]; };
  const std::int64_t word = first_word(block);
  const std::int64_t last_word = first_word(block + blocks - 1);
  const std::int64_t out_word = block / parts;
  const std::int64_t out_words = (block + blocks - 1) / parts - out_word + 1;
  isa::Compute compute;
  if (tile.in_rows.size() > 0) {
    compute.in_row =
        static_cast<std::int16_t>(pass_.rows.origin + pass_.rows.stride * tile.out_rows.begin - tile.in_rows.begin);
    if (!pass_.fold) {
      compute.in_column = static_cast<std::int16_t>(
          pass_.columns.origin + pass_.columns.stride * tile.out_columns.begin - tile.in_columns.begin);
    }
  }
  const std::int64_t in_begin = loaded.in.begin + (residency_.in ? in_place(tile) : 0);
  compute.in_address =
      low16(in_begin + word * shape_.in_plane + compute.in_row * shape_.in_row_pitch + compute.in_column);
  const std::int64_t out_offset = (out_word - results.first_word) * shape_.out_plane;
  const std::int64_t residual =
      loaded.residual.begin + out_word * shape_.out_plane + (residency_.residual ? out_place(tile) : 0);
  compute.out_address = low16(results.begin + out_offset);
  compute.out_part = static_cast<std::uint8_t>(block % parts);
  compute.residual_address = low16(residual);
  compute.channel_address = static_cast<std::uint16_t>(channels_of(block));
  compute.pixels = static_cast<std::uint32_t>(tile.pixels());
  compute.blocks = static_cast<std::uint8_t>(blocks);
  compute.block_step = blocks > 1 ? low16((first_word(block + 1) - word) * shape_.in_plane) : 0;
  const std::int64_t phases = read_phases(config_, pass_, shape_.in_row_pitch, tile.out_columns.size(), tile.pixels());
  for (std::size_t part = 0; part < programs_.size(); ++part) {
    const MicroProgram& program = programs_[part];
    const std::int64_t segment = block / tiling_.blocks * std::ssize(programs_) + static_cast<std::int64_t>(part);
    const std::int64_t steps = program.words * word_steps(config_, pass_);
    compute.weight_address = static_cast<std::uint16_t>(weights_of(segment));
    compute.micro_address = static_cast<std::uint16_t>(program.address);
    compute.micro_count = static_cast<std::uint16_t>(program.count);
    compute.accumulate = part > 0 ? 1 : 0;
    compute.keep = part + 1 < programs_.size() ? 1 : 0;
    Effect effect;
    add_wrapped(effect.reads, Memory::weights, compute.weight_address, steps * blocks, config_.weight_steps);
    add_wrapped(effect.reads, Memory::channels, compute.channel_address, blocks, config_.channel_blocks);
    add_wrapped(effect.reads, Memory::micro, compute.micro_address, compute.micro_count, isa::micro_operations);
    if (loaded.in.words > 0) {
      effect.reads.push_back(
          features(loaded.in.begin + word * shape_.in_plane, (last_word - word + pass_.block_words) * shape_.in_plane));
    }
    const std::int64_t plane = tile.out_rows.size() * shape_.out_row_pitch;
    if (layer_.residual) add_planes(effect.reads, residual, out_words, shape_.out_plane, plane);
    add_planes(effect.writes, results.begin + out_offset, out_words, shape_.out_plane, plane);
    const std::int64_t of_group = std::max(steps << phases, group_slices(config_));
    const std::int64_t groups = divide_up(tile.pixels() + (pass_.window ? 1 : 0), config_.pixel_lanes);
    effect.cycles = static_cast<double>(blocks * groups * of_group);
    const double finished = assembler_.emit(compute, effect);
    if (loaded.in.words > 0) engine_.features.use(loaded.in, finished);
    if (layer_.residual) engine_.features.use(loaded.residual, finished);
    engine_.features.use(results.region, finished);
  }
}

}  // namespace cosoc::conv2d
