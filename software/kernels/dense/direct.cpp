#include <algorithm>
#include <vector>

#include "kernels/dense/convolve.hpp"
#include "kernels/dense/scratch.hpp"
#include "kernels/dispatch.hpp"

namespace cosoc::dense {
namespace {

/// Outputs of a row whose sums stay in registers, and rows of which they do at a time: with one row every product would
/// wait for the sum of the one before it.
constexpr std::int64_t width = 16;
constexpr std::int64_t rows_at_once = 4;

using Floats [[gnu::vector_size(32)]] = float;
using Stored [[gnu::vector_size(32), gnu::aligned(4), gnu::may_alias]] = float;

/// `columns` and those that fill the last vector.
[[gnu::always_inline]] inline std::int64_t whole(std::int64_t columns) { return (columns + width - 1) / width * width; }

/// Channels of an image with their padding. Every row has its columns by their remainder modulo the stride, so that the
/// inputs of one tap lie side by side.
struct Padded {
  float* data;
  Axes3 extent;          // the last is that of one remainder
  std::int64_t strides;  // remainders

  std::int64_t channel() const { return volume(extent) * strides; }
  const float* row(std::int64_t depth, std::int64_t height) const {
    return data + (depth * extent[1] + height) * strides * extent[2];
  }
};

[[gnu::always_inline]] inline void fill(const Problem& p, const float* in, const Padded& padded) {
  const Windows& w = p.windows;
  const std::int64_t stride = padded.strides;
  std::fill_n(padded.data, padded.channel(), 0.0F);
  for (std::int64_t depth = 0; depth < std::min(p.in[0], padded.extent[0] - w.padding[0]); ++depth) {
    for (std::int64_t height = 0; height < std::min(p.in[1], padded.extent[1] - w.padding[1]); ++height) {
      const float* from = in + (depth * p.in[1] + height) * p.in[2];
      float* to =
          padded.data + ((depth + w.padding[0]) * padded.extent[1] + height + w.padding[1]) * stride * padded.extent[2];
      if (stride == 1) {
        std::copy_n(from, std::min(p.in[2], padded.extent[2] - w.padding[2]), to + w.padding[2]);
        continue;
      }
      for (std::int64_t rest = 0; rest < stride; ++rest) {
        // Columns x of the image with (x + padding) % stride == rest.
        std::int64_t x = (rest - w.padding[2] % stride + stride) % stride;
        const std::int64_t first = (x + w.padding[2]) / stride;
        float* line = to + rest * padded.extent[2];
        const std::int64_t count = std::min(padded.extent[2] - first, (p.in[2] - x + stride - 1) / stride);
        for (std::int64_t i = 0; i < count; ++i) line[first + i] = from[x + i * stride];
      }
    }
  }
}

/// Where the input of every weight lies, from that of the first one on.
[[gnu::always_inline]] inline std::vector<std::int64_t> tap_offsets(const Problem& p, const Padded& padded) {
  const Windows& w = p.windows;
  std::vector<std::int64_t> offsets;
  offsets.reserve(static_cast<std::size_t>(p.in_channels * volume(p.kernel)));
  for (std::int64_t channel = 0; channel < p.in_channels; ++channel) {
    for (std::int64_t depth = 0; depth < p.kernel[0]; ++depth) {
      for (std::int64_t height = 0; height < p.kernel[1]; ++height) {
        const float* row = padded.row(depth * w.dilation[0], height * w.dilation[1]) + channel * padded.channel();
        for (std::int64_t tap = 0; tap < p.kernel[2]; ++tap) {
          const std::int64_t shift = tap * w.dilation[2];
          offsets.push_back(row - padded.data + shift % padded.strides * padded.extent[2] + shift / padded.strides);
        }
      }
    }
  }
  return offsets;
}

struct Rows {
  const float* in;  // of the first output's first weight
  std::int64_t in_pitch;
  const float* weight;
  std::span<const std::int64_t> taps;
  std::int64_t columns;
  float* sums;  // `columns`, rounded up to `width`, of each row
};

/// Sums of `rows` rows of outputs, of one channel.
template <std::int64_t rows>
[[gnu::always_inline]] inline void sum_rows(const Rows& r) {
  const std::int64_t pitch = whole(r.columns);
  for (std::int64_t x = 0; x < r.columns; x += width) {
    Floats sums[rows][2] = {};
    for (std::size_t tap = 0; tap < r.taps.size(); ++tap) {
      const float* from = r.in + r.taps[tap] + x;
      const float weight = r.weight[tap];
#pragma GCC unroll 4
      for (std::int64_t row = 0; row < rows; ++row) {
        const Stored* in = reinterpret_cast<const Stored*>(from + row * r.in_pitch);
        sums[row][0] += weight * in[0];
        sums[row][1] += weight * in[1];
      }
    }
#pragma GCC unroll 4
    for (std::int64_t row = 0; row < rows; ++row) {
      Stored* out = reinterpret_cast<Stored*>(r.sums + row * pitch + x);
      out[0] = sums[row][0];
      out[1] = sums[row][1];
    }
  }
}

[[gnu::always_inline]] inline void convolve_all(const Call& call) {
  const Problem& p = call.problem;
  const Windows& w = p.windows;
  Padded padded{nullptr, {}, w.stride[2]};
  for (std::size_t axis = 0; axis < 3; ++axis) {
    padded.extent[axis] = (p.out[axis] - 1) * w.stride[axis] + (p.kernel[axis] - 1) * w.dilation[axis] + 1;
  }
  padded.extent[2] = (padded.extent[2] + w.stride[2] - 1) / w.stride[2] + width;
  const std::int64_t pitch = whole(p.out[2]);
  float* const sums = scratch_floats(p.in_channels * padded.channel() + rows_at_once * pitch + width);
  float* const images = sums + rows_at_once * pitch;
  for (std::int64_t channel = 0; channel < p.in_channels; ++channel) {
    padded.data = images + channel * padded.channel();
    fill(p, call.in + channel * volume(p.in), padded);
  }
  padded.data = images;
  const std::vector<std::int64_t> taps = tap_offsets(p, padded);
  std::int64_t offset = 0;
  for (std::int64_t channel = 0; channel < p.out_channels; ++channel) {
    for (std::int64_t depth = 0; depth < p.out[0]; ++depth) {
      for (std::int64_t height = 0; height < p.out[1];) {
        const Rows rows = {.in = padded.row(depth * w.stride[0], height * w.stride[1]),
                           .in_pitch = w.stride[1] * padded.strides * padded.extent[2],
                           .weight = call.weights + channel * static_cast<std::int64_t>(taps.size()),
                           .taps = taps,
                           .columns = p.out[2],
                           .sums = sums};
        const bool many = height + rows_at_once <= p.out[1];
        many ? sum_rows<rows_at_once>(rows) : sum_rows<1>(rows);
        for (std::int64_t row = 0; row < (many ? rows_at_once : 1); ++row, ++height, offset += p.out[2]) {
          call.epilogue.store(sums + row * pitch, channel, offset, p.out[2], call.out);
        }
      }
    }
  }
}

COSOC_DISPATCH(convolve_chosen, convolve_all, const Call&)

}  // namespace

void convolve_direct(const Call& call) { convolve_chosen(call); }

}  // namespace cosoc::dense
