#include "kernels/patches.hpp"

#include <algorithm>

namespace cosoc {
namespace {

/// Dot products of two patches with four rows of weights: eight sums stay in registers while each loaded vector is used
/// twice or four times. int16 x int16 into int32 is what compilers turn into multiply-add instructions.
[[gnu::always_inline]] inline void multiply_block(const std::int16_t* __restrict patch0,
                                                  const std::int16_t* __restrict patch1,
                                                  const std::int16_t* __restrict weights, std::size_t length,
                                                  std::int32_t* sums0, std::int32_t* sums1) {
  const std::int16_t* __restrict w0 = weights;
  const std::int16_t* __restrict w1 = weights + length;
  const std::int16_t* __restrict w2 = weights + 2 * length;
  const std::int16_t* __restrict w3 = weights + 3 * length;
  std::int32_t s00 = 0, s01 = 0, s02 = 0, s03 = 0, s10 = 0, s11 = 0, s12 = 0, s13 = 0;
  for (std::size_t i = 0; i < length; ++i) {
    s00 += patch0[i] * w0[i];
    s01 += patch0[i] * w1[i];
    s02 += patch0[i] * w2[i];
    s03 += patch0[i] * w3[i];
    s10 += patch1[i] * w0[i];
    s11 += patch1[i] * w1[i];
    s12 += patch1[i] * w2[i];
    s13 += patch1[i] * w3[i];
  }
  sums0[0] = s00;
  sums0[1] = s01;
  sums0[2] = s02;
  sums0[3] = s03;
  sums1[0] = s10;
  sums1[1] = s11;
  sums1[2] = s12;
  sums1[3] = s13;
}

[[gnu::always_inline]] inline std::int32_t dot_product(const std::int16_t* __restrict a,
                                                       const std::int16_t* __restrict b, std::size_t length) {
  std::int32_t sum = 0;
  for (std::size_t i = 0; i < length; ++i) sum += a[i] * b[i];
  return sum;
}

[[gnu::always_inline]] inline void multiply_all(const std::int16_t* patches, std::size_t patch_count,
                                                const std::int16_t* weights, std::size_t channels, std::size_t length,
                                                std::int32_t* sums) {
  const std::size_t whole_pairs = patch_count / 2 * 2;
  const std::size_t whole_channels = channels / 4 * 4;
  for (std::size_t channel = 0; channel < whole_channels; channel += 4) {
    for (std::size_t i = 0; i < whole_pairs; i += 2) {
      std::int32_t* sums0 = sums + i * channels + channel;
      multiply_block(patches + i * length, patches + (i + 1) * length, weights + channel * length, length, sums0,
                     sums0 + channels);
    }
  }
  for (std::size_t i = 0; i < patch_count; ++i) {
    for (std::size_t channel = i < whole_pairs ? whole_channels : 0; channel < channels; ++channel) {
      sums[i * channels + channel] = dot_product(patches + i * length, weights + channel * length, length);
    }
  }
}

using Multiply = void (*)(const std::int16_t*, std::size_t, const std::int16_t*, std::size_t, std::size_t,
                          std::int32_t*);

// The vectorizer is asked for here, so that an unoptimized build elsewhere does not matter.
[[gnu::optimize("O3")]] void multiply_baseline(const std::int16_t* patches, std::size_t patch_count,
                                               const std::int16_t* weights, std::size_t channels, std::size_t length,
                                               std::int32_t* sums) {
  multiply_all(patches, patch_count, weights, channels, length, sums);
}

#if defined(__x86_64__)
[[gnu::optimize("O3"), gnu::target("avx2")]] void multiply_avx2(const std::int16_t* patches, std::size_t patch_count,
                                                                const std::int16_t* weights, std::size_t channels,
                                                                std::size_t length, std::int32_t* sums) {
  multiply_all(patches, patch_count, weights, channels, length, sums);
}

Multiply best_multiply() { return __builtin_cpu_supports("avx2") ? multiply_avx2 : multiply_baseline; }
#else
Multiply best_multiply() { return multiply_baseline; }
#endif

}  // namespace

template <class Activation>
void gather_patch(const PixelSource<Activation>& source, const Window& window, std::int64_t out_row,
                  std::int64_t out_column, std::span<std::int16_t> patch) {
  std::int16_t* out = patch.data();
  const std::size_t row_length = source.channels * static_cast<std::size_t>(window.kernel[1]);
  const std::int64_t left = window.origin(1, out_column);
  const bool dense = window.dilation[1] == 1 && source.channels == source.pixel_pitch && left >= 0 &&
                     left + window.kernel[1] <= source.columns;
  for (std::int64_t kernel_row = 0; kernel_row < window.kernel[0]; ++kernel_row) {
    const std::int64_t row = window.origin(0, out_row) + kernel_row * window.dilation[0];
    if (row < 0 || row >= source.rows) {
      out = std::fill_n(out, row_length, source.zero_point);
      continue;
    }
    const Activation* row_data = source.data + static_cast<std::size_t>(row) * source.row_pitch;
    if (dense) {
      out = std::copy_n(row_data + static_cast<std::size_t>(left) * source.pixel_pitch, row_length, out);
      continue;
    }
    for (std::int64_t kernel_column = 0; kernel_column < window.kernel[1]; ++kernel_column) {
      const std::int64_t column = left + kernel_column * window.dilation[1];
      if (column < 0 || column >= source.columns) {
        out = std::fill_n(out, source.channels, source.zero_point);
      } else {
        out = std::copy_n(row_data + static_cast<std::size_t>(column) * source.pixel_pitch, source.channels, out);
      }
    }
  }
  std::fill(out, patch.data() + patch.size(), std::int16_t{0});
}

template <class Activation>
void gather_transposed_patch(const PixelSource<Activation>& source, const Window& window, std::int64_t out_row,
                             std::int64_t out_column, std::span<std::int16_t> patch) {
  // The input whose product with a tap belongs to the output, or none.
  const auto input_of = [&](std::size_t axis, std::int64_t position, std::int64_t tap, std::int64_t extent) {
    const std::int64_t distance = position + window.padding[axis] - tap * window.dilation[axis];
    const bool exists = distance >= 0 && distance % window.stride[axis] == 0 && distance / window.stride[axis] < extent;
    return exists ? distance / window.stride[axis] : -1;
  };
  std::int16_t* out = patch.data();
  for (std::int64_t kernel_row = 0; kernel_row < window.kernel[0]; ++kernel_row) {
    const std::int64_t row = input_of(0, out_row, kernel_row, source.rows);
    for (std::int64_t kernel_column = 0; kernel_column < window.kernel[1]; ++kernel_column) {
      const std::int64_t column = input_of(1, out_column, kernel_column, source.columns);
      if (row < 0 || column < 0) {
        out = std::fill_n(out, source.channels, source.zero_point);
        continue;
      }
      const Activation* pixel = source.data + static_cast<std::size_t>(row) * source.row_pitch +
                                static_cast<std::size_t>(column) * source.pixel_pitch;
      out = std::copy_n(pixel, source.channels, out);
    }
  }
  std::fill(out, patch.data() + patch.size(), std::int16_t{0});
}

template void gather_patch(const PixelSource<std::int8_t>&, const Window&, std::int64_t, std::int64_t,
                           std::span<std::int16_t>);
template void gather_patch(const PixelSource<std::int16_t>&, const Window&, std::int64_t, std::int64_t,
                           std::span<std::int16_t>);
template void gather_transposed_patch(const PixelSource<std::int8_t>&, const Window&, std::int64_t, std::int64_t,
                                      std::span<std::int16_t>);
template void gather_transposed_patch(const PixelSource<std::int16_t>&, const Window&, std::int64_t, std::int64_t,
                                      std::span<std::int16_t>);

void multiply_patches(const std::int16_t* patches, std::size_t patch_count, const std::int16_t* weights,
                      std::size_t channels, std::size_t length, std::int32_t* sums) {
  static const Multiply multiply = best_multiply();
  multiply(patches, patch_count, weights, channels, length, sums);
}

// Sums of 64 bits, which no instruction makes of products of 16: a plain loop is as good as any.
void multiply_patches(const std::int16_t* patches, std::size_t patch_count, const std::int16_t* weights,
                      std::size_t channels, std::size_t length, std::int64_t* sums) {
  for (std::size_t i = 0; i < patch_count; ++i) {
    for (std::size_t channel = 0; channel < channels; ++channel) {
      std::int64_t sum = 0;
      for (std::size_t k = 0; k < length; ++k) {
        sum += std::int32_t{patches[i * length + k]} * weights[channel * length + k];
      }
      sums[i * channels + channel] = sum;
    }
  }
}

}  // namespace cosoc
