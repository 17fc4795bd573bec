#include <algorithm>

#include "kernels/dense/convolve.hpp"
#include "kernels/dense/panels.hpp"
#include "kernels/dense/scratch.hpp"
#include "kernels/dispatch.hpp"

namespace cosoc::dense {
namespace {

/// Output pixels and products of each that are multiplied at a time: 256 KB of patches, which a second-level cache
/// holds.
constexpr std::int64_t block_columns = 256;
constexpr std::int64_t block_depth = 256;

/// The inputs of one tap and one channel under the outputs [first, first + count), zero where there is padding.
[[gnu::always_inline]] inline void gather_tap(const Problem& p, const float* image, std::int64_t tap,
                                              std::int64_t first, std::int64_t count, float* values) {
  const Windows& w = p.windows;
  const Axes3 at = {tap / (p.kernel[1] * p.kernel[2]), tap / p.kernel[2] % p.kernel[1], tap % p.kernel[2]};
  const std::int64_t shift = at[2] * w.dilation[2] - w.padding[2];
  const std::int64_t stride = w.stride[2];
  // Outputs [begin, end) of every row have this tap inside the row.
  const std::int64_t begin = shift >= 0 ? 0 : std::min(p.out[2], (stride - 1 - shift) / stride);
  const std::int64_t reach = p.in[2] - 1 - shift;
  const std::int64_t end = reach < 0 ? begin : std::clamp(reach / stride + 1, begin, p.out[2]);
  while (count > 0) {
    const std::int64_t row = first / p.out[2];
    const std::int64_t x = first % p.out[2];
    const std::int64_t here = std::min(count, p.out[2] - x);
    const std::int64_t depth = row / p.out[1] * w.stride[0] - w.padding[0] + at[0] * w.dilation[0];
    const std::int64_t height = row % p.out[1] * w.stride[1] - w.padding[1] + at[1] * w.dilation[1];
    const bool inside = depth >= 0 && depth < p.in[0] && height >= 0 && height < p.in[1];
    const std::int64_t from = inside ? std::clamp(begin, x, x + here) - x : here;
    const std::int64_t to = inside ? std::clamp(end, x, x + here) - x : here;
    std::fill_n(values, from, 0.0F);
    std::fill(values + to, values + here, 0.0F);
    if (from < to) {
      const float* in = image + (depth * p.in[1] + height) * p.in[2] + shift + x * stride;
      if (stride == 1) {
        for (std::int64_t i = from; i < to; ++i) values[i] = in[i];
      } else {
        for (std::int64_t i = from; i < to; ++i) values[i] = in[i * stride];
      }
    }
    values += here;
    first += here;
    count -= here;
  }
}

/// Rows [first_depth, first_depth + depth) of the matrix of patches, as panels; `row` has room for one of them, and its
/// end stands for columns that are not there.
[[gnu::always_inline]] inline void pack_patches(const Problem& p, const float* in, std::int64_t first_depth,
                                                std::int64_t depth, std::int64_t first, std::int64_t count, float* row,
                                                float* panels) {
  const std::int64_t taps = volume(p.kernel);
  const std::int64_t wide = whole_panels(count, panel_columns) * panel_columns;
  const bool pointwise = taps == 1 && p.in == p.out && p.windows.stride == Axes3{1, 1, 1};
  for (std::int64_t k = 0; k < depth; ++k) {
    const float* image = in + (first_depth + k) / taps * volume(p.in);
    const float* values = row;
    if (pointwise && wide == count) {
      values = image + first;
    } else if (pointwise) {
      std::copy_n(image + first, count, row);
    } else {
      gather_tap(p, image, (first_depth + k) % taps, first, count, row);
    }
    for (std::int64_t column = 0; column < wide; column += panel_columns) {
      float* to = panels + column * depth + k * panel_columns;
      for (std::int64_t i = 0; i < panel_columns; ++i) to[i] = values[column + i];
    }
  }
}

[[gnu::always_inline]] inline void convolve_all(const Call& call) {
  const Problem& p = call.problem;
  const std::int64_t depth = p.in_channels * volume(p.kernel);
  const std::int64_t pixels = volume(p.out);
  const std::int64_t widest = whole_panels(std::min(pixels, block_columns), panel_columns) * panel_columns;
  float* const row = scratch_floats(widest * (1 + std::min(depth, block_depth)));
  std::fill_n(row, widest, 0.0F);
  for (std::int64_t first = 0; first < pixels; first += block_columns) {
    const std::int64_t count = std::min(block_columns, pixels - first);
    for (std::int64_t k = 0; k < depth; k += block_depth) {
      const std::int64_t part = std::min(block_depth, depth - k);
      pack_patches(p, call.in, k, part, first, count, row, row + widest);
      multiply({.rows = p.out_channels,
                .columns = count,
                .depth = part,
                .a = call.weights + k * panel_rows,
                .a_depth = depth,
                .b = row + widest,
                .c = call.out + first,
                .c_stride = pixels,
                .accumulate = k > 0});
    }
    for (std::int64_t channel = 0; channel < p.out_channels; ++channel) {
      const std::int64_t offset = channel * pixels + first;
      call.epilogue.store(call.out + offset, channel, offset, count, call.out);
    }
  }
}

COSOC_DISPATCH(convolve_chosen, convolve_all, const Call&)

}  // namespace

void convolve_unrolled(const Call& call) { convolve_chosen(call); }

}  // namespace cosoc::dense
