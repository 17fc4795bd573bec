/// The ways in which a float32 convolution is computed; each handles one group of one image.
#pragma once

#include <limits>
#include <vector>

#include "kernels/dense/spatial.hpp"

namespace cosoc::dense {

/// Extents of one group, and how its windows lie.
struct Problem {
  std::int64_t in_channels = 0;
  std::int64_t out_channels = 0;
  Axes3 in{}, out{}, kernel{};
  Windows windows;
};

/// What happens to the sums before they are stored.
struct Epilogue {
  const float* bias = nullptr;      // one number for each channel, or none
  const float* residual = nullptr;  // added; laid out as the output, or none
  float low = -std::numeric_limits<float>::infinity();
  float high = std::numeric_limits<float>::infinity();

  /// Stores `count` values of one channel at `offset` of the output, where the sums may lie too. NaN stays.
  [[gnu::always_inline]] inline void store(const float* sums, std::int64_t channel, std::int64_t offset,
                                           std::int64_t count, float* out) const {
    const float start = bias == nullptr ? 0.0F : bias[channel];
    float* to = out + offset;
    const auto limited = [this](float value) { return value < low ? low : value > high ? high : value; };
    if (residual == nullptr) {
#pragma GCC ivdep
      for (std::int64_t i = 0; i < count; ++i) to[i] = limited(sums[i] + start);
    } else {
      const float* added = residual + offset;
#pragma GCC ivdep
      for (std::int64_t i = 0; i < count; ++i) to[i] = limited(sums[i] + start + added[i]);
    }
  }
};

/// One group of one image; `weights` are packed as the function wants them.
struct Call {
  const Problem& problem;
  const float* in;
  const float* weights;
  const Epilogue& epilogue;
  float* out;
};

/// Winograd's minimal filtering F(2x2, 3x3): 16 products for 4 outputs instead of 36. For 3x3 kernels without stride.
/// Source: A. Lavin, S. Gray, Fast Algorithms for Convolutional Neural Networks, CVPR 2016, section 4.1.
bool suits_winograd(const Problem& problem);
/// `weight` of one group, transformed and packed.
std::vector<float> pack_winograd(const Problem& problem, const float* weight);
void convolve_winograd(const Call& call);

/// A matrix product of weights, as `pack_rows` leaves them, and patches.
void convolve_unrolled(const Call& call);

/// Few channels: every weight adds a scaled row of a padded image.
void convolve_direct(const Call& call);

/// Transposed: every input pixel adds its products with all weights to the outputs under the kernel. `turned` are the
/// weights of one group as a matrix of a row for every output channel and tap.
std::vector<float> turn_transposed(const Problem& problem, const float* weight);
void convolve_transposed(const Call& call);

}  // namespace cosoc::dense
