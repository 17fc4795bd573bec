#include <algorithm>
#include <cstring>

#include "kernels/dense/convolve.hpp"
#include "kernels/dense/panels.hpp"
#include "kernels/dense/scratch.hpp"
#include "kernels/dispatch.hpp"

namespace cosoc::dense {
namespace {

constexpr std::int64_t width = 8;
/// Products of one tile of 2x2 outputs.
constexpr std::int64_t points = 16;
/// Transformed inputs and products of the tiles that are computed at a time; they stay in a second- or third-level
/// cache.
constexpr std::int64_t block_floats = std::int64_t{1} << 19;

using Floats [[gnu::vector_size(32)]] = float;
using Stored [[gnu::vector_size(32), gnu::aligned(4), gnu::may_alias]] = float;
using Lanes [[gnu::vector_size(32)]] = int;

const Stored& at(const float* from) { return *reinterpret_cast<const Stored*>(from); }
Stored& at(float* to) { return *reinterpret_cast<Stored*>(to); }

/// Some rows of tiles of one image.
struct Block {
  std::int64_t first_row;  // of tiles
  std::int64_t rows;
  std::int64_t across;  // tiles of a row
  std::int64_t tiles() const { return rows * across; }
  std::int64_t panels() const { return whole_panels(tiles(), panel_columns); }
};

/// Even and odd columns of the padded input rows under a block, of one channel; `pitch` floats each.
[[gnu::always_inline]] inline void split_rows(const Problem& p, const Block& block, const float* image, float* even,
                                              float* odd, std::int64_t pitch, float* padded) {
  const std::int64_t rows = 2 * block.rows + 2;
  const std::int64_t left = p.windows.padding[2];
  const std::int64_t count = std::min(p.in[2], 2 * pitch - left);
  for (std::int64_t i = 0; i < rows; ++i, even += pitch, odd += pitch) {
    const std::int64_t row = 2 * block.first_row + i - p.windows.padding[1];
    if (row < 0 || row >= p.in[1]) {
      std::fill_n(even, pitch, 0.0F);
      std::fill_n(odd, pitch, 0.0F);
      continue;
    }
    std::copy_n(image + row * p.in[2], count, padded + left);
    for (std::int64_t x = 0; x < pitch; ++x) {
      even[x] = padded[2 * x];
      odd[x] = padded[2 * x + 1];
    }
  }
}

/// Of four rows or columns.
[[gnu::always_inline]] inline void transform(const Floats* d, std::int64_t step, Floats* w) {
  w[0] = d[0] - d[2 * step];
  w[step] = d[step] + d[2 * step];
  w[2 * step] = d[2 * step] - d[step];
  w[3 * step] = d[step] - d[3 * step];
}

/// The sixteen transformed values of all tiles of a block and of one channel: `values` has a row for each of them.
[[gnu::always_inline]] inline void transform_tiles(const Block& block, const float* even, const float* odd,
                                                   std::int64_t pitch, float* values, std::int64_t value_pitch) {
  for (std::int64_t row = 0; row < block.rows; ++row) {
    const float* e = even + 2 * row * pitch;
    const float* o = odd + 2 * row * pitch;
    for (std::int64_t tile = 0; tile < block.across; tile += width) {
      Floats d[points], w[points];
#pragma GCC unroll 4
      for (std::int64_t i = 0; i < 4; ++i) {
        d[4 * i] = at(e + i * pitch + tile);
        d[4 * i + 1] = at(o + i * pitch + tile);
        d[4 * i + 2] = at(e + i * pitch + tile + 1);
        d[4 * i + 3] = at(o + i * pitch + tile + 1);
      }
#pragma GCC unroll 4
      for (std::int64_t i = 0; i < 4; ++i) transform(d + i, 4, w + i);
#pragma GCC unroll 4
      for (std::int64_t i = 0; i < 4; ++i) transform(w + 4 * i, 1, d + 4 * i);
      // What is written beyond the row is written again by the next one.
      float* to = values + row * block.across + tile;
#pragma GCC unroll 16
      for (std::int64_t i = 0; i < points; ++i) at(to + i * value_pitch) = d[i];
    }
  }
}

/// Outputs of a block and of one channel from its sixteen rows of sums.
[[gnu::always_inline]] inline void finish_tiles(const Call& call, const Block& block, const float* sums,
                                                std::int64_t step, std::int64_t channel, float* rows) {
  const std::int64_t pitch = 2 * (block.across + width);
  const Axes3& extent = call.problem.out;
  for (std::int64_t row = 0; row < block.rows; ++row) {
    for (std::int64_t tile = 0; tile < block.across; tile += width) {
      const float* from = sums + row * block.across + tile;
      Floats upper[4], lower[4];
#pragma GCC unroll 4
      for (std::int64_t i = 0; i < 4; ++i) {
        const Floats m0 = at(from + i * step), m1 = at(from + (4 + i) * step);
        const Floats m2 = at(from + (8 + i) * step), m3 = at(from + (12 + i) * step);
        upper[i] = m0 + m1 + m2;
        lower[i] = m1 - m2 - m3;
      }
#pragma GCC unroll 2
      for (int half = 0; half < 2; ++half) {
        const Floats* m = half == 0 ? upper : lower;
        const Floats left = m[0] + m[1] + m[2];
        const Floats right = m[1] - m[2] - m[3];
        float* to = rows + half * pitch + 2 * tile;
        at(to) = __builtin_shuffle(left, right, Lanes{0, 8, 1, 9, 2, 10, 3, 11});
        at(to + width) = __builtin_shuffle(left, right, Lanes{4, 12, 5, 13, 6, 14, 7, 15});
      }
    }
    for (std::int64_t half = 0; half < 2; ++half) {
      const std::int64_t out_row = 2 * (block.first_row + row) + half;
      if (out_row >= extent[1]) continue;
      const std::int64_t offset = (channel * extent[1] + out_row) * extent[2];
      call.epilogue.store(rows + half * pitch, channel, offset, extent[2], call.out);
    }
  }
}

[[gnu::always_inline]] inline void convolve_block(const Call& call, const Block& block, float* scratch) {
  const Problem& p = call.problem;
  const std::int64_t panels = block.panels();
  const std::int64_t tiles = panels * panel_columns;
  const std::int64_t pitch = block.across + 1 + width;
  const std::int64_t value_pitch = tiles + width;
  float* inputs = scratch;
  float* sums = inputs + points * p.in_channels * tiles;
  float* values = sums + points * p.out_channels * tiles + width;
  float* even = values + points * value_pitch;
  float* odd = even + (2 * block.rows + 2) * pitch;
  float* padded = odd + (2 * block.rows + 2) * pitch;
  std::fill_n(padded, 2 * pitch, 0.0F);
  std::fill_n(values, points * value_pitch, 0.0F);
  for (std::int64_t channel = 0; channel < p.in_channels; ++channel) {
    split_rows(p, block, call.in + channel * volume(p.in), even, odd, pitch, padded);
    transform_tiles(block, even, odd, pitch, values, value_pitch);
    for (std::int64_t point = 0; point < points; ++point) {
      const float* from = values + point * value_pitch;
      float* to = inputs + (point * panels * p.in_channels + channel) * panel_columns;
      for (std::int64_t panel = 0; panel < panels; ++panel) {
        at(to) = at(from);
        at(to + width) = at(from + width);
        from += panel_columns;
        to += p.in_channels * panel_columns;
      }
    }
  }
  for (std::int64_t point = 0; point < points; ++point) {
    multiply({.rows = p.out_channels,
              .columns = tiles,
              .depth = p.in_channels,
              .a = call.weights + point * packed_floats(p.out_channels, p.in_channels),
              .a_depth = p.in_channels,
              .b = inputs + point * p.in_channels * tiles,
              .b_panel = p.in_channels * panel_columns,
              .c = sums + point * p.out_channels * tiles,
              .c_stride = tiles});
  }
  for (std::int64_t channel = 0; channel < p.out_channels; ++channel) {
    finish_tiles(call, block, sums + channel * tiles, p.out_channels * tiles, channel, even);
  }
}

[[gnu::always_inline]] inline void convolve_all(const Call& call) {
  const Problem& p = call.problem;
  const std::int64_t rows = whole_panels(p.out[1], 2);
  const std::int64_t across = whole_panels(p.out[2], 2);
  const std::int64_t channels = p.in_channels + p.out_channels;
  const std::int64_t most = std::clamp(block_floats / (points * channels * across), std::int64_t{1}, rows);
  const std::int64_t tiles = whole_panels(most * across, panel_columns) * panel_columns;
  const std::int64_t lines = 2 * (2 * most + 3) * (across + 1 + width);
  float* const scratch = scratch_floats(points * (channels * tiles + tiles + width) + width + lines);
  for (std::int64_t row = 0; row < rows; row += most) {
    convolve_block(call, {.first_row = row, .rows = std::min(most, rows - row), .across = across}, scratch);
  }
}

COSOC_DISPATCH(convolve_chosen, convolve_all, const Call&)

}  // namespace

bool suits_winograd(const Problem& p) {
  const Windows& w = p.windows;
  return p.kernel == Axes3{1, 3, 3} && w.stride == Axes3{1, 1, 1} && w.dilation == Axes3{1, 1, 1} && p.in[0] == 1 &&
         w.padding[0] == 0 && p.in_channels >= 16 && p.out_channels >= 16 && p.out[2] >= 4;
}

std::vector<float> pack_winograd(const Problem& p, const float* weight) {
  const std::int64_t step = packed_floats(p.out_channels, p.in_channels);
  std::vector<float> packed(static_cast<std::size_t>(points * step));
  for (std::int64_t row = 0; row < p.out_channels; ++row) {
    float* to = packed.data() + packed_row(row, p.in_channels);
    for (std::int64_t k = 0; k < p.in_channels; ++k, weight += 9, to += panel_rows) {
      float half[4][3];
      for (std::int64_t i = 0; i < 3; ++i) {
        const float a = weight[i], b = weight[3 + i], c = weight[6 + i];
        half[0][i] = a;
        half[1][i] = 0.5F * (a + b + c);
        half[2][i] = 0.5F * (a - b + c);
        half[3][i] = c;
      }
      for (std::int64_t i = 0; i < 4; ++i) {
        const auto [a, b, c] = half[i];
        to[4 * i * step] = a;
        to[(4 * i + 1) * step] = 0.5F * (a + b + c);
        to[(4 * i + 2) * step] = 0.5F * (a - b + c);
        to[(4 * i + 3) * step] = c;
      }
    }
  }
  return packed;
}

void convolve_winograd(const Call& call) { convolve_chosen(call); }

}  // namespace cosoc::dense
