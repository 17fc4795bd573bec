#include "drivers/conv2d_tiling.hpp"

#include <algorithm>
#include <limits>
#include <optional>

#include "device/cycles.hpp"

namespace cosoc {
namespace {

constexpr auto word_bytes = static_cast<std::int64_t>(word_channels);
/// Sizes of input-channel parts that are tried: larger parts first, since each split costs a pass over the partial
/// sums.
constexpr std::size_t max_word_choices = 4;

constexpr std::int64_t divide_up(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }

/// Sizes that cut `extent` into 1, 2, 3 .. nearly equal parts, each a multiple of `granularity`, without repetition.
std::vector<std::int64_t> part_sizes(std::int64_t extent, std::int64_t granularity = 1) {
  std::vector<std::int64_t> sizes;
  for (std::int64_t size = divide_up(extent, granularity) * granularity; size > 0;) {
    sizes.push_back(size);
    // The largest size that needs one part more.
    const std::int64_t parts = divide_up(extent, size) + 1;
    size = std::min(divide_up(divide_up(extent, parts), granularity) * granularity, size - granularity);
  }
  return sizes;
}

/// A stretch of an axis: output positions, and the input that their windows reach.
struct Stretch {
  std::int64_t first = 0;  // of the input
  std::int64_t count = 0;  // of the input
  std::int64_t pad = 0;    // in front of the input
};

Stretch input_of(const Conv2DGeometry& geometry, std::size_t axis, std::int64_t out_first, std::int64_t out_count) {
  const std::int64_t origin = geometry.window.origin(axis, out_first);
  const std::int64_t end = geometry.window.origin(axis, out_first + out_count - 1) + geometry.window.kernel[axis];
  const std::int64_t first = std::max<std::int64_t>(origin, 0);
  return {.first = first, .count = std::min(end, geometry.in[axis]) - first, .pad = first - origin};
}

/// Input positions that `out_count` output positions reach, at most.
std::int64_t reach(const Conv2DGeometry& geometry, std::size_t axis, std::int64_t out_count) {
  return std::min((out_count - 1) * geometry.window.stride[axis] + geometry.window.kernel[axis], geometry.in[axis]);
}

/// Blocks begin at whole words of the output: with 8 lanes two make a word.
std::int64_t block_granularity(const conv2d::Config& config) {
  return std::max<std::int64_t>(word_bytes / config.output_lanes, 1);
}

std::int64_t words_of_blocks(std::int64_t blocks, const conv2d::Config& config) {
  return divide_up(blocks * config.output_lanes, word_bytes);
}

/// The most output rows that fit when the other sizes are given; 0 when none do.
std::int64_t fitting_rows(const Conv2DGeometry& geometry, const conv2d::Config& config, const Conv2DTiling& tiling) {
  const std::int64_t pixel_words = std::min(words_of_blocks(tiling.blocks, config), geometry.out_words);
  std::int64_t rows = std::min(geometry.out[0], config.output_words / (tiling.columns * pixel_words));
  if (tiling.words < geometry.in_words) {
    rows = std::min(rows, config.partial_pixels / (tiling.columns * std::min(tiling.blocks, geometry.out_blocks)));
  }
  const std::int64_t in_rows = config.activation_words / (reach(geometry, 1, tiling.columns) * tiling.words);
  if (in_rows >= geometry.in[0]) return rows;
  if (in_rows < geometry.window.kernel[0]) return 0;
  return std::min(rows, (in_rows - geometry.window.kernel[0]) / geometry.window.stride[0] + 1);
}

conv2d::Command common_fields(const Conv2DGeometry& geometry) {
  conv2d::Command command;
  command.kernel_height = static_cast<std::uint8_t>(geometry.window.kernel[0]);
  command.kernel_width = static_cast<std::uint8_t>(geometry.window.kernel[1]);
  command.stride_height = static_cast<std::uint8_t>(geometry.window.stride[0]);
  command.stride_width = static_cast<std::uint8_t>(geometry.window.stride[1]);
  command.in_zero_point = static_cast<std::int8_t>(geometry.in_zero_point);
  command.out_zero_point = static_cast<std::int8_t>(geometry.out_zero_point);
  command.clamp_min = geometry.clamp[0];
  command.clamp_max = geometry.clamp[1];
  command.in_row_pitch = static_cast<std::uint32_t>(geometry.in_row_pitch);
  command.in_pixel_pitch = static_cast<std::uint32_t>(geometry.in_pixel_pitch);
  command.out_row_pitch = static_cast<std::uint32_t>(geometry.out_row_pitch);
  command.out_pixel_pitch = static_cast<std::uint32_t>(geometry.out_pixel_pitch);
  return command;
}

/// Cycles of all commands, one behind the other, if each had the largest tile.
std::uint64_t estimate(const Conv2DGeometry& geometry, const conv2d::Config& config, const Conv2DTiling& tiling) {
  conv2d::Command command = common_fields(geometry);
  command.in_rows = static_cast<std::uint16_t>(reach(geometry, 0, tiling.rows));
  command.in_columns = static_cast<std::uint16_t>(reach(geometry, 1, tiling.columns));
  command.in_words = static_cast<std::uint16_t>(tiling.words);
  command.out_rows = static_cast<std::uint16_t>(tiling.rows);
  command.out_columns = static_cast<std::uint16_t>(tiling.columns);
  command.out_blocks = static_cast<std::uint16_t>(std::min(tiling.blocks, geometry.out_blocks));
  command.out_words = static_cast<std::uint16_t>(std::min(words_of_blocks(tiling.blocks, config), geometry.out_words));
  const std::int64_t tiles = divide_up(geometry.out[0], tiling.rows) * divide_up(geometry.out[1], tiling.columns) *
                             divide_up(geometry.out_blocks, tiling.blocks) * geometry.images;
  const std::int64_t parts = divide_up(geometry.in_words, tiling.words);
  const std::uint64_t last = conv2d::queued_cycles(config, command);
  command.flags = static_cast<std::uint8_t>(conv2d::Conv2DFlag::partial);
  const std::uint64_t others = conv2d::queued_cycles(config, command);
  return static_cast<std::uint64_t>(tiles) * (last + static_cast<std::uint64_t>(parts - 1) * others);
}

}  // namespace

Conv2DGeometry make_geometry(const Conv2DAttributes& attributes, std::span<const TensorType> inputs,
                             const TensorType& output, const conv2d::Config& config) {
  const TensorType& input = inputs[0];
  Conv2DGeometry geometry;
  geometry.images = input.shape[0];
  geometry.in = {input.shape[1], input.shape[2]};
  geometry.out = {output.shape[1], output.shape[2]};
  geometry.window = attributes.window;
  geometry.in_pixel_pitch = static_cast<std::int64_t>(input.pixel_pitch());
  geometry.in_row_pitch = geometry.in_pixel_pitch * geometry.in[1];
  geometry.in_image_pitch = geometry.in_row_pitch * geometry.in[0];
  geometry.out_pixel_pitch = static_cast<std::int64_t>(output.pixel_pitch());
  geometry.out_row_pitch = geometry.out_pixel_pitch * geometry.out[1];
  geometry.out_image_pitch = geometry.out_row_pitch * geometry.out[0];
  geometry.in_words = geometry.in_pixel_pitch / word_bytes;
  geometry.out_words = geometry.out_pixel_pitch / word_bytes;
  geometry.out_blocks = divide_up(output.shape[3], config.output_lanes);
  geometry.in_zero_point = input.zero_point;
  geometry.out_zero_point = output.zero_point;
  geometry.clamp = attributes.clamp;

  const std::array pitches = {&geometry.in_row_pitch, &geometry.in_pixel_pitch};
  for (std::size_t axis = 0; axis < 2; ++axis) {
    if (geometry.window.kernel[axis] > 1) continue;
    *pitches[axis] *= geometry.window.stride[axis];
    geometry.window.stride[axis] = 1;
    geometry.in[axis] = geometry.out[axis];
  }
  const bool images_follow = geometry.in_image_pitch == geometry.in_row_pitch * geometry.in[0];
  if (geometry.window.kernel[0] == 1 && images_follow) {
    geometry.in[0] *= geometry.images;
    geometry.out[0] *= geometry.images;
    geometry.images = 1;
  }
  return geometry;
}

Conv2DTiling choose_tiling(const Conv2DGeometry& geometry, const conv2d::Config& config) {
  const std::int64_t positions = geometry.window.kernel[0] * geometry.window.kernel[1];
  Conv2DTiling best;
  std::uint64_t best_cycles = std::numeric_limits<std::uint64_t>::max();
  std::size_t word_choices = 0;
  for (const std::int64_t words : part_sizes(geometry.in_words)) {
    if (positions * words > config.weight_steps) continue;
    bool fits = false;
    for (const std::int64_t blocks : part_sizes(geometry.out_blocks, block_granularity(config))) {
      for (const std::int64_t columns : part_sizes(geometry.out[1])) {
        Conv2DTiling tiling{.rows = 1, .columns = columns, .blocks = blocks, .words = words};
        const std::int64_t most_rows = fitting_rows(geometry, config, tiling);
        if (most_rows == 0) continue;
        // As few tiles, but of nearly equal height.
        tiling.rows = divide_up(geometry.out[0], divide_up(geometry.out[0], most_rows));
        fits = true;
        const std::uint64_t cycles = estimate(geometry, config, tiling);
        if (cycles < best_cycles) {
          best_cycles = cycles;
          best = tiling;
        }
      }
    }
    if (fits && ++word_choices == max_word_choices) break;
  }
  return best;
}

std::vector<conv2d::Command> tile_commands(const Conv2DGeometry& geometry, const Conv2DTiling& tiling,
                                           const conv2d::Config& config) {
  const std::int64_t positions = geometry.window.kernel[0] * geometry.window.kernel[1];
  const std::int64_t lanes = config.output_lanes;
  std::vector<conv2d::Command> commands;

  // The parts of one tile of sums follow one another, since the partial sums are those of the command before.
  const auto add_tile = [&](std::int64_t image, std::int64_t row, std::int64_t column, std::int64_t block) {
    const std::int64_t rows = std::min(tiling.rows, geometry.out[0] - row);
    const std::int64_t columns = std::min(tiling.columns, geometry.out[1] - column);
    const std::int64_t blocks = std::min(tiling.blocks, geometry.out_blocks - block);
    const std::int64_t first_word = block * lanes / word_bytes;
    const Stretch in_rows = input_of(geometry, 0, row, rows);
    const Stretch in_columns = input_of(geometry, 1, column, columns);
    for (std::int64_t word = 0; word < geometry.in_words; word += tiling.words) {
      const std::int64_t words = std::min(tiling.words, geometry.in_words - word);
      conv2d::Command command = common_fields(geometry);
      std::uint32_t flags = 0;
      if (word > 0) flags |= static_cast<std::uint32_t>(conv2d::Conv2DFlag::accumulate);
      if (word + words < geometry.in_words) flags |= static_cast<std::uint32_t>(conv2d::Conv2DFlag::partial);
      command.flags = static_cast<std::uint8_t>(flags);
      command.pad_top = static_cast<std::uint8_t>(in_rows.pad);
      command.pad_left = static_cast<std::uint8_t>(in_columns.pad);
      command.in_rows = static_cast<std::uint16_t>(in_rows.count);
      command.in_columns = static_cast<std::uint16_t>(in_columns.count);
      command.in_words = static_cast<std::uint16_t>(words);
      command.out_rows = static_cast<std::uint16_t>(rows);
      command.out_columns = static_cast<std::uint16_t>(columns);
      command.out_blocks = static_cast<std::uint16_t>(blocks);
      command.out_words =
          static_cast<std::uint16_t>(std::min(words_of_blocks(blocks, config), geometry.out_words - first_word));
      command.in_address =
          static_cast<std::uint64_t>(image * geometry.in_image_pitch + in_rows.first * geometry.in_row_pitch +
                                     in_columns.first * geometry.in_pixel_pitch + word * word_bytes);
      // Weights lie part by part; all blocks of the parts in front of this one come first.
      command.weight_address =
          static_cast<std::uint64_t>(lanes * word_bytes * positions * (geometry.out_blocks * word + block * words));
      command.channel_address = static_cast<std::uint64_t>(block * lanes * 8);
      command.out_address = static_cast<std::uint64_t>(image * geometry.out_image_pitch + row * geometry.out_row_pitch +
                                                       column * geometry.out_pixel_pitch + first_word * word_bytes);
      commands.push_back(command);
    }
  };

  for (std::int64_t image = 0; image < geometry.images; ++image) {
    for (std::int64_t row = 0; row < geometry.out[0]; row += tiling.rows) {
      for (std::int64_t column = 0; column < geometry.out[1]; column += tiling.columns) {
        for (std::int64_t block = 0; block < geometry.out_blocks; block += tiling.blocks) {
          add_tile(image, row, column, block);
        }
      }
    }
  }
  return commands;
}

}  // namespace cosoc
