/// The ways in which an int8 convolution is computed on a CPU; each handles one group of one image, and all give the
/// same bits.
#pragma once

#include <array>
#include <vector>

#include "kernels/patches.hpp"
#include "kernels/quantized/requantize.hpp"

namespace cosoc::quantized {

/// One group of one image.
struct Call {
  PixelSource<std::int8_t> source;
  Window window;
  bool transposed = false;
  std::array<std::int64_t, 2> out_extent{};  // rows, columns
  std::size_t channels = 0;                  // of the output
  Requantization rule;
  std::int8_t* out = nullptr;             // first channel of the group
  const std::int8_t* residual = nullptr;  // at `out`'s pixel and channel, or none
  std::size_t out_pitch = 0;              // from pixel to pixel, of both

  [[gnu::always_inline]] inline void finish(const std::int32_t* sums, std::size_t pixel) const {
    const std::size_t place = pixel * out_pitch;
    if (residual == nullptr) {
      requantize(rule, sums, channels, out + place);
    } else {
      requantize(rule, sums, residual + place, channels, out + place);
    }
  }
};

/// Weights of one group: (channels, rows, columns, depth), every row of the last axis `pitch` values from the next one.
struct GroupWeights {
  const std::int8_t* data = nullptr;
  std::size_t channels = 0;
  std::array<std::size_t, 2> kernel{};
  std::size_t depth = 0;
  std::size_t pitch = 0;
};

/// Products of patches and weights.
std::vector<std::int16_t> pack_patch_weights(const GroupWeights& weights);
void convolve_patches(const Call& call, const std::vector<std::int16_t>& packed);

/// Winograd's minimal filtering F(2x2, 3x3) in integers: 16 products for 4 outputs instead of 36. The filter is scaled
/// by 4, and its results are exact multiples of 4 as long as four times a sum fits int32. Source: A. Lavin, S. Gray,
/// Fast Algorithms for Convolutional Neural Networks, CVPR 2016, section 4.1.
bool suits_winograd(const Window& window, bool transposed, std::size_t depth, std::size_t channels);
std::vector<std::int16_t> pack_winograd(const GroupWeights& weights);
void convolve_winograd(const Call& call, const std::vector<std::int16_t>& packed);

}  // namespace cosoc::quantized
