/// Convolution as products of matrices: the inputs of each output pixel as one row ("patch") of int16.
///
/// CPU kernel and model of the Conv2D accelerator both compute with these.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "kernels/window.hpp"

namespace cosoc {

/// Rows of weights and patches are whole multiples of this, so that vector code has no remainder.
inline constexpr std::size_t patch_multiple = 16;

/// Products of that many pairs fit their sums whatever the values: int8 pairs int32, int16 and int8 48 bits.
inline constexpr std::int64_t max_patch_length = 131071;

constexpr std::size_t padded_patch_length(std::size_t length) {
  return (length + patch_multiple - 1) / patch_multiple * patch_multiple;
}

/// Pixels of int8 or int16 channels in memory.
template <class Activation>
struct PixelSource {
  const Activation* data = nullptr;
  std::int64_t rows = 0;
  std::int64_t columns = 0;
  std::size_t row_pitch = 0;    // values
  std::size_t pixel_pitch = 0;  // values
  std::size_t channels = 0;     // read of each pixel
  Activation zero_point = 0;    // value of pixels outside
};

/// Writes the window's inputs of one output pixel in order kernel row, kernel column, channel; then zeros up to
/// `patch.size()`.
template <class Activation>
void gather_patch(const PixelSource<Activation>& source, const Window& window, std::int64_t out_row,
                  std::int64_t out_column, std::span<std::int16_t> patch);

/// The same for a transposed convolution, whose inputs lie `stride` apart in the output: what is between them has the
/// value of pixels outside.
template <class Activation>
void gather_transposed_patch(const PixelSource<Activation>& source, const Window& window, std::int64_t out_row,
                             std::int64_t out_column, std::span<std::int16_t> patch);

/// sums[i * channels + c] = patches[i] . weights[c], where every row has `length` elements, a multiple of
/// `patch_multiple`. int32 sums are for patches of int8 values.
void multiply_patches(const std::int16_t* patches, std::size_t patch_count, const std::int16_t* weights,
                      std::size_t channels, std::size_t length, std::int32_t* sums);
void multiply_patches(const std::int16_t* patches, std::size_t patch_count, const std::int16_t* weights,
                      std::size_t channels, std::size_t length, std::int64_t* sums);

}  // namespace cosoc
