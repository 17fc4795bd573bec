/// The ways in which a float32 convolution of one image is computed; all but the direct one handle one group.
#pragma once

#include <vector>

#include "kernels/dense/epilogue.hpp"
#include "kernels/dense/spatial.hpp"

namespace cosoc::dense {

/// Extents of one group, and how its windows lie.
struct Problem {
  std::int64_t groups = 1;  // that a call computes: one, or all of them
  std::int64_t in_channels = 0;
  std::int64_t out_channels = 0;
  Axes3 in{}, out{}, kernel{};
  Windows windows;
};

/// `weights` are packed as the function wants them.
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

/// Few channels: every weight adds a scaled row of a padded image. All groups at once.
void convolve_direct(const Call& call);

/// Transposed: every input pixel adds its products with all weights to the outputs under the kernel. `turned` are the
/// weights of one group as a matrix of a row for every output channel and tap.
std::vector<float> turn_transposed(const Problem& problem, const float* weight);
void convolve_transposed(const Call& call);

}  // namespace cosoc::dense
