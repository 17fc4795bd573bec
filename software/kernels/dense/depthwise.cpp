#include <algorithm>

#include "kernels/dense/convolve.hpp"
#include "kernels/dense/scratch.hpp"
#include "kernels/dispatch.hpp"

namespace cosoc::dense {
namespace {

/// Outputs whose sums stay in registers.
constexpr std::int64_t width = 16;

using Floats [[gnu::vector_size(64)]] = float;
using Stored [[gnu::vector_size(64), gnu::aligned(4), gnu::may_alias]] = float;

/// The image with its padding. Every row has its columns by their remainder modulo the stride, so that the inputs of
/// one tap lie side by side.
struct Padded {
  float* data;
  Axes3 extent;          // the last is that of one remainder
  std::int64_t strides;  // remainders

  const float* row(std::int64_t depth, std::int64_t height) const {
    return data + (depth * extent[1] + height) * strides * extent[2];
  }
};

[[gnu::always_inline]] inline void fill(const Problem& p, const float* in, const Padded& padded) {
  const Windows& w = p.windows;
  const std::int64_t stride = padded.strides;
  std::fill_n(padded.data, volume(padded.extent) * stride, 0.0F);
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

/// Sums of one row of outputs, of one channel.
[[gnu::always_inline]] inline void sum_row(const Problem& p, const Padded& padded, const float* weight,
                                           std::int64_t depth, std::int64_t height, float* sums) {
  const Windows& w = p.windows;
  for (std::int64_t x = 0; x < p.out[2]; x += width) {
    Floats sum = {};
    const float* factor = weight;
    for (std::int64_t d = 0; d < p.kernel[0]; ++d) {
      for (std::int64_t h = 0; h < p.kernel[1]; ++h) {
        const float* row =
            padded.row(depth * w.stride[0] + d * w.dilation[0], height * w.stride[1] + h * w.dilation[1]) + x;
        for (std::int64_t tap = 0; tap < p.kernel[2]; ++tap) {
          const std::int64_t shift = tap * w.dilation[2];
          const float* from = row + shift % padded.strides * padded.extent[2] + shift / padded.strides;
          sum += *factor++ * *reinterpret_cast<const Stored*>(from);
        }
      }
    }
    *reinterpret_cast<Stored*>(sums + x) = sum;
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
  float* const sums = scratch_floats(volume(padded.extent) * w.stride[2] + p.out[2] + 2 * width);
  padded.data = sums + p.out[2] + width;
  fill(p, call.in, padded);
  std::int64_t offset = 0;
  for (std::int64_t channel = 0; channel < p.out_channels; ++channel) {
    const float* weight = call.weights + channel * volume(p.kernel);
    for (std::int64_t depth = 0; depth < p.out[0]; ++depth) {
      for (std::int64_t height = 0; height < p.out[1]; ++height, offset += p.out[2]) {
        if (p.kernel == Axes3{1, 3, 3}) {
          // The compiler unrolls what is known to be small.
          Problem small = p;
          small.kernel = {1, 3, 3};
          sum_row(small, padded, weight, depth, height, sums);
        } else {
          sum_row(p, padded, weight, depth, height, sums);
        }
        call.epilogue.store(sums, channel, offset, p.out[2], call.out);
      }
    }
  }
}

COSOC_DISPATCH(convolve_chosen, convolve_all, const Call&)

}  // namespace

void convolve_single(const Call& call) { convolve_chosen(call); }

}  // namespace cosoc::dense
