#include <algorithm>
#include <vector>

#include "kernels/dense/convolve.hpp"
#include "kernels/dense/padded.hpp"
#include "kernels/dense/scratch.hpp"
#include "kernels/dispatch.hpp"

namespace cosoc::dense {
namespace {

using Floats [[gnu::vector_size(32)]] = float;
using Stored [[gnu::vector_size(32), gnu::aligned(4), gnu::may_alias]] = float;

constexpr std::int64_t width = 8;

/// Some rows of one channel. Copies, as what is stored could overwrite all that lies behind a pointer.
struct Rows {
  const float* in;  // of the first output's first weight
  std::int64_t in_pitch;
  const float* weight;
  const std::int64_t* taps;
  std::int64_t count;  // of taps
  float start, low, high;
  const float* residual;  // of the first output, or none
  float* out;
  float* end;  // of all outputs
  std::int64_t columns;
};

/// Stores a vector of outputs. What is beyond their row is written again by the row below.
[[gnu::always_inline]] inline void store(const Rows& r, std::int64_t offset, const Floats& sums) {
  Floats value = sums + r.start;
  if (r.end - r.out - offset >= width) [[likely]] {
    if (r.residual != nullptr) value += *reinterpret_cast<const Stored*>(r.residual + offset);
    value = value < r.low ? Floats{} + r.low : value;
    value = value > r.high ? Floats{} + r.high : value;
    *reinterpret_cast<Stored*>(r.out + offset) = value;
    return;
  }
  float spread[width];
  *reinterpret_cast<Stored*>(spread) = value;
  for (std::int64_t i = 0; i < r.end - r.out - offset; ++i) {
    const float one = r.residual == nullptr ? spread[i] : spread[i] + r.residual[offset + i];
    r.out[offset + i] = one < r.low ? r.low : one > r.high ? r.high : one;
  }
}

/// `vectors` vectors of `rows` rows, from column `x` on; of `fixed` taps, or of any number.
template <std::int64_t rows, std::int64_t vectors, std::int64_t fixed>
[[gnu::always_inline]] inline void sum_tile(const Rows& r, std::int64_t x) {
  Floats sums[rows][vectors] = {};
  const float* const first = r.in + x;
  const std::int64_t taps = fixed != 0 ? fixed : r.count;
#pragma GCC unroll 9
  for (std::int64_t tap = 0; tap < taps; ++tap) {
    const float* from = first + r.taps[tap];
    const float weight = r.weight[tap];
#pragma GCC unroll 4
    for (std::int64_t row = 0; row < rows; ++row) {
#pragma GCC unroll 2
      for (std::int64_t i = 0; i < vectors; ++i) {
        sums[row][i] += weight * *reinterpret_cast<const Stored*>(from + row * r.in_pitch + i * width);
      }
    }
  }
#pragma GCC unroll 4
  for (std::int64_t row = 0; row < rows; ++row) {
#pragma GCC unroll 2
    for (std::int64_t i = 0; i < vectors; ++i) store(r, row * r.columns + x + i * width, sums[row][i]);
  }
}

/// From right to left, so that what is written beyond a row is written again.
template <std::int64_t rows, std::int64_t fixed>
[[gnu::always_inline]] inline void sum_rows(Rows& r) {
  std::int64_t x = (r.columns - 1) / width * width;
  if (x / width % 2 == 0) {
    sum_tile<rows, 1, fixed>(r, x);
    x -= width;
  }
  for (x -= width; x >= 0; x -= 2 * width) sum_tile<rows, 2, fixed>(r, x);
  r.in += rows * r.in_pitch;
  r.out += rows * r.columns;
  if (r.residual != nullptr) r.residual += rows * r.columns;
}

template <std::int64_t fixed>
[[gnu::always_inline]] inline void sum_plane(Rows r, std::int64_t rows) {
  for (; rows >= 4; rows -= 4) sum_rows<4, fixed>(r);
  if (rows >= 2) sum_rows<2, fixed>(r);
  if (rows % 2 == 1) sum_rows<1, fixed>(r);
}

[[gnu::always_inline]] inline void convolve_all(const Call& call) {
  const Problem p = call.problem;
  const Epilogue epilogue = call.epilogue;
  const Padded padded(p, {.first = {0, 0, 0}, .count = p.out});
  const std::int64_t in_floats = p.groups * p.in_channels * volume(p.in);
  const std::int64_t plane = volume(p.out);
  float* const images = scratch_floats(p.in_channels * padded.channel() + 2 * width);
  std::fill_n(images, p.in_channels * padded.channel(), 0.0F);
  const std::vector<std::int64_t> taps = tap_offsets(p, padded, p.in_channels);
  const float* image = call.in;
  for (std::int64_t channel = 0; channel < p.groups * p.out_channels; ++channel) {
    for (std::int64_t i = 0; channel % p.out_channels == 0 && i < p.in_channels; ++i, image += volume(p.in)) {
      fill(p, image, call.in + in_floats, padded, images + i * padded.channel());
    }
    Rows rows = {.in = images,
                 .in_pitch = p.windows.stride[1] * padded.row_pitch(),
                 .weight = call.weights + channel * static_cast<std::int64_t>(taps.size()),
                 .taps = taps.data(),
                 .count = static_cast<std::int64_t>(taps.size()),
                 .start = epilogue.bias == nullptr ? 0.0F : epilogue.bias[channel],
                 .low = epilogue.low,
                 .high = epilogue.high,
                 .residual = epilogue.residual == nullptr ? nullptr : epilogue.residual + channel * plane,
                 .out = call.out + channel * plane,
                 .end = call.out + p.groups * p.out_channels * plane,
                 .columns = p.out[2]};
    for (std::int64_t depth = 0; depth < p.out[0]; ++depth) {
      rows.count == 9 ? sum_plane<9>(rows, p.out[1]) : sum_plane<0>(rows, p.out[1]);
      rows.in += p.windows.stride[0] * padded.extent[1] * padded.row_pitch();
      rows.out += p.out[1] * p.out[2];
      if (rows.residual != nullptr) rows.residual += p.out[1] * p.out[2];
    }
  }
}

COSOC_DISPATCH(convolve_chosen, convolve_all, const Call&)

}  // namespace

void convolve_direct(const Call& call) { convolve_chosen(call); }

}  // namespace cosoc::dense
