/// How a pass is cut into tiles that fit the feature buffer, and how they lie there.
#pragma once

#include <algorithm>

#include "drivers/conv2d/buffers.hpp"
#include "drivers/conv2d/packing.hpp"

namespace cosoc::conv2d {

inline constexpr std::int64_t most_extent = 4095;  // rows and columns of a tile, pitch of rows in the feature buffer

/// What a search varies. Tiles are as equal as possible, but for `short_ends`.
struct Tiling {
  std::int64_t row_tiles = 1;
  std::int64_t column_tiles = 1;
  std::int64_t blocks = 1;  // of output channels in a COMPUTE
  std::int64_t words = 1;   // of a reduction in a COMPUTE; fewer than all only with one group of pixels
  bool prefetch = true;     // the next tile is loaded while one is computed
  /// The first and the last tile have a quarter of the others' rows: the array starts early, the last STORE is short.
  bool short_ends = false;
  /// Of a pooled pass: the results of all tiles lie in one region, so that none computes again what its windows share
  /// with the tile before.
  bool whole_results = false;
};

/// A whole tensor in the feature buffer: a plane for each word, rows `row_pitch` words apart.
struct ResidentTensor {
  Region region;
  std::int64_t row_pitch = 1;
  std::int64_t plane = 1;
};

/// Tensors that lie in the feature buffer before a pass, or stay there after it.
struct Residency {
  std::optional<ResidentTensor> in;
  std::optional<ResidentTensor> residual;
  std::optional<ResidentTensor> out;
};

/// A part of an image.
struct Tile {
  std::int64_t image = 0;
  Range stored_rows;
  Range stored_columns;
  Range out_rows;  // of the convolution's result, before pooling
  Range out_columns;
  Range in_rows;     // that are loaded; empty when all that the tile needs lies outside of the input
  Range in_columns;  // likewise; pixels, also when they are folded

  std::int64_t pixels() const { return out_rows.size() * out_columns.size(); }
};

/// Words and pitches in the feature buffer, the same for all tiles of a pass. Pitches are those of resident tensors.
struct TileShape {
  std::int64_t in_row_pitch = 1;
  std::int64_t in_plane = 1;
  std::int64_t in_words = 1;  // of the whole input tile; none when the input is resident
  std::int64_t out_row_pitch = 1;
  std::int64_t out_plane = 1;
};

/// The tiles of a pass in the order of execution.
std::vector<Tile> tiles_of(const Pass& pass, const Tiling& tiling);

/// Columns that an input tile has in the feature buffer: pixels, or words of folded pixels.
std::int64_t buffered_columns(const Pass& pass, const Tile& tile);

TileShape shape_of(const Config& config, const Pass& pass, const Tiling& tiling, std::span<const Tile> tiles,
                   const Residency& residency);

/// log2 of the cycles in which the pixel lanes read without two of them on one bank.
std::uint32_t read_phases(const Config& config, const Pass& pass, std::int64_t row_pitch, std::int64_t out_columns,
                          std::int64_t pixels);

/// From one plane to the next of a tile that has `planes` of so many words. LOAD and STORE go from plane to plane, and
/// with this pitch over the banks as fast as the output unit does: once they have let it pass, they meet no more.
std::int64_t plane_pitch(const Config& config, std::int64_t words, std::int64_t planes);

/// Words of output channels that are computed, then stored together: enough for long bursts.
std::int64_t stored_words(const Pass& pass);

/// Output blocks of one COMPUTE, a power of two that divides the blocks of `stored_words`.
std::int64_t compute_blocks(const Config& config, const Pass& pass);

/// The tilings worth trying, `most` numbers of row tiles at most, for a feature buffer of which `free_words` are free;
/// none when nothing fits.
std::vector<Tiling> tilings(const Config& config, const Pass& pass, bool residual, const Residency& residency,
                            std::int64_t free_words, std::size_t most);

inline std::int64_t word_parts(const Config& config) { return word_channels(config) / config.output_lanes; }
inline std::int64_t banks(const Config& config) { return std::max<std::int64_t>(4, 2 * config.pixel_lanes); }
/// Cycles that the output unit needs for the results of a group.
inline std::int64_t group_slices(const Config& config) { return std::min<std::int64_t>(config.pixel_lanes, 4); }

}  // namespace cosoc::conv2d
