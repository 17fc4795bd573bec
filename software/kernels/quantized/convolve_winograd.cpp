#include <algorithm>
#include <cstring>

#include "kernels/dispatch.hpp"
#include "kernels/quantized/convolve.hpp"
#include "kernels/quantized/panels.hpp"

namespace cosoc::quantized {
namespace {

constexpr std::size_t points = 16;
constexpr std::size_t lanes = 16;
/// Transformed inputs and sums of the tiles that are computed at a time.
constexpr std::size_t block_bytes = std::size_t{1} << 20;
/// Four times a sum of so many products, each below 9 * 2^14 in magnitude, fits int32.
constexpr std::size_t max_depth = 3640;

using Values [[gnu::vector_size(32)]] = short;
using Stored [[gnu::vector_size(32), gnu::aligned(2), gnu::may_alias]] = short;

std::size_t padded_depth(std::size_t depth) { return (depth + lanes - 1) / lanes * lanes; }

/// Some rows of tiles: what is computed at a time.
struct Block {
  const Call& call;
  const std::vector<std::int16_t>& packed;
  std::size_t first_row;
  std::size_t rows;
  std::size_t across;
  std::int16_t* lines;   // four rows of the image, widened to int16, with what lies outside
  std::int16_t* inputs;  // by point, tile, channel
  std::int32_t* sums;    // the same

  std::size_t tiles() const { return rows * across; }
};

/// Of four rows or columns of an image.
[[gnu::always_inline]] inline void transform(const Values* d, std::size_t step, Values* w) {
  w[0] = d[0] - d[2 * step];
  w[step] = d[step] + d[2 * step];
  w[2 * step] = d[2 * step] - d[step];
  w[3 * step] = d[step] - d[3 * step];
}

/// One row of the image, of 2 * across + 2 pixels from the column left of the padding.
[[gnu::always_inline]] inline void widen_row(const Block& block, std::int64_t row, std::int16_t* line) {
  const PixelSource<std::int8_t>& source = block.call.source;
  const std::size_t depth = padded_depth(source.channels);
  const auto columns = static_cast<std::int64_t>(2 * block.across + 2);
  const std::int8_t* from = source.data + static_cast<std::size_t>(std::max<std::int64_t>(row, 0)) * source.row_pitch;
  for (std::int64_t i = 0; i < columns; ++i, line += depth) {
    const std::int64_t column = i - block.call.window.padding[1];
    if (row < 0 || row >= source.rows || column < 0 || column >= source.columns) {
      std::fill_n(line, source.channels, source.zero_point);
      continue;
    }
    const std::int8_t* pixel = from + static_cast<std::size_t>(column) * source.pixel_pitch;
    for (std::size_t channel = 0; channel < source.channels; ++channel) line[channel] = pixel[channel];
  }
}

[[gnu::always_inline]] inline void transform_inputs(const Block& block) {
  const std::size_t depth = padded_depth(block.call.source.channels);
  const std::size_t line = (2 * block.across + 2) * depth;
  const std::size_t step = block.tiles() * depth;  // from point to point
  for (std::size_t row = 0; row < block.rows; ++row) {
    for (std::size_t i = 0; i < 4; ++i) {
      const auto first = static_cast<std::int64_t>(2 * (block.first_row + row) + i);
      widen_row(block, first - block.call.window.padding[0], block.lines + i * line);
    }
    for (std::size_t tile = 0; tile < block.across; ++tile) {
      const std::int16_t* from = block.lines + 2 * tile * depth;
      std::int16_t* to = block.inputs + (row * block.across + tile) * depth;
      for (std::size_t channel = 0; channel < depth; channel += lanes, from += lanes, to += lanes) {
        Values d[points], w[points];
#pragma GCC unroll 16
        for (std::size_t i = 0; i < points; ++i) {
          d[i] = *reinterpret_cast<const Stored*>(from + i / 4 * line + i % 4 * depth);
        }
#pragma GCC unroll 4
        for (std::size_t i = 0; i < 4; ++i) transform(d + i, 4, w + i);
#pragma GCC unroll 4
        for (std::size_t i = 0; i < 4; ++i) transform(w + 4 * i, 1, d + 4 * i);
#pragma GCC unroll 16
        for (std::size_t i = 0; i < points; ++i) *reinterpret_cast<Stored*>(to + i * step) = d[i];
      }
    }
  }
}

/// Addition and subtraction modulo 2^32.
using Sum = std::uint32_t;

[[gnu::always_inline]] inline void finish_tile(const Block& block, std::size_t row, std::size_t tile) {
  const Call& call = block.call;
  const std::size_t pitch = whole_panels(call.channels) * panel_columns;
  const std::size_t step = block.tiles() * pitch;
  const std::int32_t* from = block.sums + (row * block.across + tile) * pitch;
  // The sums take the place of those of four of the points.
  std::int32_t* to = block.sums + (row * block.across + tile) * pitch;
#pragma GCC ivdep
  for (std::size_t channel = 0; channel < pitch; ++channel) {
    Sum m[points], upper[4], lower[4];
#pragma GCC unroll 16
    for (std::size_t i = 0; i < points; ++i) m[i] = static_cast<Sum>(from[channel + i * step]);
#pragma GCC unroll 4
    for (std::size_t i = 0; i < 4; ++i) {
      upper[i] = m[i] + m[4 + i] + m[8 + i];
      lower[i] = m[4 + i] - m[8 + i] - m[12 + i];
    }
    to[channel] = static_cast<std::int32_t>(upper[0] + upper[1] + upper[2]) >> 2;
    to[channel + step] = static_cast<std::int32_t>(upper[1] - upper[2] - upper[3]) >> 2;
    to[channel + 2 * step] = static_cast<std::int32_t>(lower[0] + lower[1] + lower[2]) >> 2;
    to[channel + 3 * step] = static_cast<std::int32_t>(lower[1] - lower[2] - lower[3]) >> 2;
  }
  for (std::size_t i = 0; i < 4; ++i) {
    const std::size_t y = 2 * (block.first_row + row) + i / 2;
    const std::size_t x = 2 * tile + i % 2;
    const auto columns = static_cast<std::size_t>(call.out_extent[1]);
    if (y < static_cast<std::size_t>(call.out_extent[0]) && x < columns) {
      call.finish(to + i * step, y * columns + x);
    }
  }
}

[[gnu::always_inline]] inline void convolve_block(const Block& block) {
  const std::size_t depth = padded_depth(block.call.source.channels);
  const std::size_t pitch = whole_panels(block.call.channels) * panel_columns;
  transform_inputs(block);
  for (std::size_t point = 0; point < points; ++point) {
    multiply({.rows = block.inputs + point * block.tiles() * depth,
              .count = block.tiles(),
              .length = depth,
              .packed = block.packed.data() + point * pitch * depth,
              .channels = block.call.channels,
              .sums = block.sums + point * block.tiles() * pitch,
              .pitch = pitch});
  }
  for (std::size_t row = 0; row < block.rows; ++row) {
    for (std::size_t tile = 0; tile < block.across; ++tile) finish_tile(block, row, tile);
  }
}

COSOC_DISPATCH_EXACT(convolve_chosen, convolve_block, const Block&)

}  // namespace

bool suits_winograd(const Window& window, bool transposed, std::size_t depth, std::size_t channels) {
  const bool plain = window.kernel == std::array<std::int64_t, 2>{3, 3} &&
                     window.stride == std::array<std::int64_t, 2>{1, 1} &&
                     window.dilation == std::array<std::int64_t, 2>{1, 1} && !transposed;
  return plain && depth >= lanes && depth <= max_depth && channels >= panel_columns;
}

std::vector<std::int16_t> pack_winograd(const GroupWeights& weights) {
  const std::size_t depth = padded_depth(weights.depth);
  const std::size_t step = whole_panels(weights.channels) * panel_columns * depth;
  std::vector<std::int16_t> packed(points * step);
  for (std::size_t channel = 0; channel < weights.channels; ++channel) {
    for (std::size_t k = 0; k < weights.depth; ++k) {
      const std::int8_t* from = weights.data + channel * 9 * weights.pitch + k;
      int half[4][3];
      for (std::size_t i = 0; i < 3; ++i) {
        const int a = from[i * weights.pitch];
        const int b = from[(3 + i) * weights.pitch];
        const int c = from[(6 + i) * weights.pitch];
        half[0][i] = 2 * a;
        half[1][i] = a + b + c;
        half[2][i] = a - b + c;
        half[3][i] = 2 * c;
      }
      std::int16_t* to = packed.data() + packed_place(channel, k, depth);
      for (std::size_t i = 0; i < 4; ++i) {
        const auto [a, b, c] = half[i];
        to[4 * i * step] = static_cast<std::int16_t>(2 * a);
        to[(4 * i + 1) * step] = static_cast<std::int16_t>(a + b + c);
        to[(4 * i + 2) * step] = static_cast<std::int16_t>(a - b + c);
        to[(4 * i + 3) * step] = static_cast<std::int16_t>(2 * c);
      }
    }
  }
  return packed;
}

void convolve_winograd(const Call& call, const std::vector<std::int16_t>& packed) {
  const std::size_t rows = static_cast<std::size_t>(call.out_extent[0] + 1) / 2;
  const std::size_t across = static_cast<std::size_t>(call.out_extent[1] + 1) / 2;
  const std::size_t depth = padded_depth(call.source.channels);
  const std::size_t pitch = whole_panels(call.channels) * panel_columns;
  const std::size_t row_bytes = points * across * (2 * depth + 4 * pitch);
  const std::size_t most = std::clamp<std::size_t>(block_bytes / row_bytes, 1, rows);
  thread_local std::vector<std::int16_t> values;
  thread_local std::vector<std::int32_t> sums;
  const std::size_t line_values = 4 * (2 * across + 2) * depth;
  values.assign(line_values + points * most * across * depth, 0);
  sums.resize(points * most * across * pitch);
  for (std::size_t row = 0; row < rows; row += most) {
    convolve_chosen({.call = call,
                     .packed = packed,
                     .first_row = row,
                     .rows = std::min(most, rows - row),
                     .across = across,
                     .lines = values.data(),
                     .inputs = values.data() + line_values,
                     .sums = sums.data()});
  }
}

}  // namespace cosoc::quantized
