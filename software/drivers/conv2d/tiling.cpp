#include "drivers/conv2d/tiling.hpp"

#include <bit>
#include <numeric>

namespace cosoc::conv2d {
namespace {

constexpr std::int64_t burst_words = 4;  // 64 bytes of each pixel

Range part_of(std::int64_t extent, std::int64_t parts, std::int64_t part) {
  return {extent * part / parts, extent * (part + 1) / parts};
}

/// Rows of a tile.
Range rows_of(const Tiling& tiling, std::int64_t extent, std::int64_t tile) {
  if (!tiling.short_ends) return part_of(extent, tiling.row_tiles, tile);
  const auto end = [&](std::int64_t tiles) { return extent * (4 * tiles - 3) / (4 * tiling.row_tiles - 6); };
  return {tile == 0 ? 0 : end(tile), tile + 1 == tiling.row_tiles ? extent : end(tile + 1)};
}

/// Pixels of the rows that a tile of folded words is made of.
Range folded_columns(const Pass& pass, Range out) {
  if (pass.fold->lines > 0) return {0, pass.columns.in};  // such tiles have whole rows
  const Range pixels = pass.sequence({}, out).pixels;
  return pixels.begin < pixels.end ? pixels : Range{0, 0};
}

/// Whether the lanes of a group that begins at output column `column` read without conflicts in 2^phases cycles.
bool conflict_free(const Config& config, const Pass& pass, std::int64_t row_step, std::int64_t out_columns,
                   std::int64_t column, std::int64_t lanes, std::uint32_t phases) {
  for (std::int64_t phase = 0; phase < std::int64_t{1} << phases; ++phase) {
    std::uint64_t used = 0;
    for (std::int64_t lane = phase; lane < lanes; lane += std::int64_t{1} << phases) {
      const std::int64_t pixel = column + lane;
      const std::int64_t address = pass.columns.stride * pixel + row_step * (pixel / out_columns);
      const std::uint64_t bank = std::uint64_t{1} << (static_cast<std::uint64_t>(address) & (banks(config) - 1));
      if (used & bank) return false;
      used |= bank;
    }
  }
  return true;
}

/// The least row pitch among those with the fewest read phases.
std::int64_t choose_row_pitch(const Config& config, const Pass& pass, std::int64_t in_columns, std::int64_t out_columns,
                              std::int64_t pixels) {
  std::int64_t best = in_columns;
  std::uint32_t best_phases = read_phases(config, pass, best, out_columns, pixels);
  for (std::int64_t pitch = in_columns + 1; pitch < in_columns + banks(config) && best_phases > 0; ++pitch) {
    const std::uint32_t phases = read_phases(config, pass, pitch, out_columns, pixels);
    if (phases < best_phases) {
      best = pitch;
      best_phases = phases;
    }
  }
  return best;
}

bool fits(const Config& config, const Pass& pass, bool residual, const Residency& residency, std::int64_t free_words,
          const Tiling& tiling) {
  const std::vector<Tile> tiles = tiles_of(pass, tiling);
  std::int64_t pixels = 0;
  for (const Tile& tile : tiles) {
    if (std::max({tile.in_rows.size(), buffered_columns(pass, tile), tile.out_rows.size(), tile.out_columns.size()}) >
        most_extent) {
      return false;
    }
    pixels = std::max(pixels, tile.pixels());
  }
  if (tiling.words < pass.reduction() && pixels > config.pixel_lanes) return false;
  const TileShape shape = shape_of(config, pass, tiling, tiles, residency);
  // Rows of a tile lie in a resident tensor as they do in memory.
  const bool whole_rows = tiling.column_tiles == 1;
  if (!whole_rows && (pass.window || (pass.fold && pass.fold->lines > 0))) return false;
  if (!whole_rows && (residency.in || residency.residual || residency.out)) return false;
  // Results and residuals share their pitches.
  if (residual && residency.out.has_value() != residency.residual.has_value() && tiling.row_tiles > 1) return false;
  if (residency.out && residency.residual && residency.out->row_pitch != residency.residual->row_pitch) return false;
  const std::int64_t lines = pass.fold ? std::max<std::int64_t>(pass.fold->lines, 1) : 1;
  if (lines * shape.in_row_pitch > most_extent) return false;
  if (tiling.whole_results) {
    const auto computes = [](const Tile& tile) { return tile.out_rows.size() > 0; };
    if (!whole_rows || pass.images > 1 || residual || !std::all_of(tiles.begin(), tiles.end(), computes)) return false;
  }
  const std::int64_t copies = tiling.prefetch ? 2 : 1;
  const std::int64_t loaded =
      shape.in_words + (residual && !residency.residual ? shape.out_plane * pass.out_shape.words : 0);
  if (tiling.whole_results) return copies * loaded + shape.out_plane * pass.out_shape.words <= free_words;
  const std::int64_t results = pass.computes && !residency.out ? shape.out_plane * stored_words(pass) : 0;
  return copies * (loaded + results) <= free_words;
}

/// Words of a reduction in one COMPUTE: all that the weight buffer can hold twice where this needs no more groups.
std::int64_t compute_words(const Config& config, const Pass& pass, bool one_group) {
  const std::int64_t capacity = config.weight_steps / word_steps(config, pass);
  if (pass.reduction() > capacity) return std::max<std::int64_t>(1, capacity / 2);
  if (one_group && pass.reduction() > capacity / 2) return std::max<std::int64_t>(1, capacity / 4);
  return pass.reduction();
}

}  // namespace

std::vector<Tile> tiles_of(const Pass& pass, const Tiling& tiling) {
  const Size stored = pass.stored();
  std::vector<Tile> tiles;
  for (std::int64_t image = 0; image < pass.images; ++image) {
    for (std::int64_t row = 0; row < tiling.row_tiles; ++row) {
      for (std::int64_t column = 0; column < tiling.column_tiles; ++column) {
        Tile tile;
        tile.image = image;
        tile.stored_rows = tile.out_rows = rows_of(tiling, stored.rows, row);
        tile.stored_columns = tile.out_columns = part_of(stored.columns, tiling.column_tiles, column);
        if (pass.pooling) {
          const auto& [window, stride, padding] = *pass.pooling;
          tile.out_rows = pooled_inputs(window.rows, stride.rows, padding.top, pass.rows.out, tile.stored_rows);
          tile.out_columns =
              pooled_inputs(window.columns, stride.columns, padding.left, pass.columns.out, tile.stored_columns);
        }
        if (tiling.whole_results && row > 0) tile.out_rows.begin = tiles.back().out_rows.end;
        tile.in_rows = pass.rows.inputs(tile.out_rows);
        tile.in_columns = pass.fold ? folded_columns(pass, tile.out_columns) : pass.columns.inputs(tile.out_columns);
        if (tile.in_rows.size() == 0 || tile.in_columns.size() == 0) tile.in_rows = tile.in_columns = {0, 0};
        tiles.push_back(tile);
      }
    }
  }
  return tiles;
}

std::int64_t buffered_columns(const Pass& pass, const Tile& tile) {
  if (tile.in_columns.size() == 0 || !pass.fold) return tile.in_columns.size();
  return tile.out_columns.size() + pass.columns.taps.back() + pass.fold->margin;
}

TileShape shape_of(const Config& config, const Pass& pass, const Tiling& tiling, std::span<const Tile> tiles,
                   const Residency& residency) {
  std::int64_t in_rows = 0;
  std::int64_t in_columns = 1;
  std::int64_t out_rows = 0;
  TileShape shape;
  for (const Tile& tile : tiles) {
    in_rows = std::max(in_rows, tile.in_rows.size());
    in_columns = std::max(in_columns, buffered_columns(pass, tile));
    out_rows = std::max(out_rows, tile.out_rows.size());
    shape.out_row_pitch = std::max(shape.out_row_pitch, tile.out_columns.size());
  }
  shape.in_row_pitch = choose_row_pitch(config, pass, in_columns, shape.out_row_pitch, out_rows * shape.out_row_pitch);
  shape.in_plane = plane_pitch(config, in_rows * shape.in_row_pitch, pass.in_shape.words);
  shape.in_words = shape.in_plane * pass.in_shape.words;
  shape.out_plane = plane_pitch(config, (tiling.whole_results ? pass.rows.out : out_rows) * shape.out_row_pitch,
                                pass.out_shape.words);
  if (residency.in) {
    shape.in_row_pitch = residency.in->row_pitch;
    shape.in_plane = residency.in->plane;
    shape.in_words = 0;
  }
  if (const auto& resident = residency.out ? residency.out : residency.residual) {
    shape.out_row_pitch = resident->row_pitch;
    shape.out_plane = resident->plane;
  }
  return shape;
}

std::uint32_t read_phases(const Config& config, const Pass& pass, std::int64_t row_pitch, std::int64_t out_columns,
                          std::int64_t pixels) {
  const std::int64_t lanes = config.pixel_lanes;
  const std::int64_t row_step = pass.rows.stride * row_pitch - pass.columns.stride * out_columns;
  // The column at which a group begins repeats.
  const std::int64_t groups = std::min(divide_up(pixels, lanes), out_columns / std::gcd(out_columns, lanes));
  std::uint32_t phases = 0;
  for (std::int64_t group = 0; group < groups; ++group) {
    const std::int64_t used_lanes = std::min(lanes, pixels - group * lanes);
    while (!conflict_free(config, pass, row_step, out_columns, group * lanes % out_columns, used_lanes, phases)) {
      ++phases;
    }
  }
  return phases;
}

std::int64_t plane_pitch(const Config& config, std::int64_t words, std::int64_t planes) {
  if (planes == 1) return words;
  const std::int64_t moved = config.pixel_lanes / group_slices(config);
  return words + (moved - words % banks(config) + banks(config)) % banks(config);
}

std::int64_t stored_words(const Pass& pass) { return std::min(burst_words, pass.out_shape.words); }

std::int64_t compute_blocks(const Config& config, const Pass& pass) {
  const std::int64_t steps = pass.reduction() * word_steps(config, pass);
  const std::int64_t most = std::min<std::int64_t>(
      {burst_words * word_parts(config), config.channel_blocks / 4, config.weight_steps / 4 / steps, pass.out_blocks});
  const std::int64_t blocks =
      most < 1 ? 1 : static_cast<std::int64_t>(std::bit_floor(static_cast<std::uint64_t>(most)));
  // The blocks of a COMPUTE read words at equal distances.
  for (std::int64_t block = 2; block < pass.out_blocks; ++block) {
    const auto& first = pass.first_words;
    const auto at = static_cast<std::size_t>(block);
    if (first[at] - first[at - 1] != first[1] - first[0]) return 1;
  }
  return blocks;
}

std::vector<Tiling> tilings(const Config& config, const Pass& pass, bool residual, const Residency& residency,
                            std::int64_t free_words, std::size_t most) {
  const Size stored = pass.stored();
  const std::int64_t blocks = pass.computes ? compute_blocks(config, pass) : 1;
  std::vector<Tiling> found;
  for (std::int64_t columns = 1; found.empty() && columns <= stored.columns;
       columns = columns == stored.columns ? columns + 1 : std::min(columns * 2, stored.columns)) {
    for (const bool prefetch : {true, false}) {
      std::size_t candidates = 0;
      for (std::int64_t rows = 1; candidates < most && rows <= stored.rows;
           rows = rows == stored.rows ? rows + 1 : std::min(rows + (rows + 3) / 4, stored.rows)) {
        Tiling tiling = {rows, columns, blocks, 1, prefetch};
        const bool one_group =
            !pass.pooling && divide_up(stored.rows, rows) * divide_up(stored.columns, columns) <= config.pixel_lanes;
        tiling.words = compute_words(config, pass, one_group);
        if (tiling.words < pass.reduction()) tiling.blocks = 1;
        if (!fits(config, pass, residual, residency, free_words, tiling)) continue;
        found.push_back(tiling);
        ++candidates;
        if (pass.pooling && pass.computes && rows > 1) {
          for (const bool short_ends : {false, true}) {
            Tiling whole = tiling;
            whole.whole_results = true;
            whole.short_ends = short_ends;
            if (short_ends && (rows < 3 || stored.rows < 4 * rows - 6)) continue;
            if (fits(config, pass, residual, residency, free_words, whole)) found.push_back(whole);
          }
        }
        if (rows < 3 || residency.in || stored.rows < 4 * rows - 6) continue;
        tiling.short_ends = true;
        if (fits(config, pass, residual, residency, free_words, tiling)) found.push_back(tiling);
      }
    }
  }
  return found;
}

}  // namespace cosoc::conv2d
