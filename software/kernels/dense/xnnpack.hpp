/// Kernels of XNNPACK, where its library is installed: `libXNNPACK.so.0` is loaded when the first of them is asked for.
///
/// XNNPACK is asked only where its results are PyTorch's, of which it is short in three ways:
///
/// - It takes subnormal numbers for zeros, and limits, which all its sums have, make a NaN the lower one. So it gets
///   operands of which every value is in a range (`within`) that leads to no such number.
/// - It reads behind the end of its operands, though less than `overread` floats. So it gets parts of tensors behind
///   which more follows, counts that it reads in whole vectors, and a copy of what is left at the end. Ordinary values
///   have the same result wherever they lie.
/// - An operator keeps the operands of a call, so every call makes its own, which takes 0.1 us and a copy of its
/// weights.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "kernels/dense/convolve.hpp"
#include "kernels/dense/unary.hpp"

namespace cosoc::dense::xnnpack {

/// Floats behind its operands that XNNPACK may read.
inline constexpr std::int64_t overread = 16;

/// Whether the library is there, with the functions that are called here.
bool is_available();

/// Whether every value is +0 or has a magnitude from `least` to `greatest`, which a NaN has not.
bool within(const float* values, std::int64_t count, float least, float greatest);

/// Whether there is a function of one element for `map`.
bool has_map(std::string_view operation, std::span<const float> parameters);
/// Elements to give `map` at a time: what lies in a first-level cache.
inline constexpr std::int64_t map_block = 4096;
/// False when XNNPACK did not compute the call, as it has other results for some of its elements.
bool map(const RealCall& call);

/// Whether XNNPACK is the faster way for a depthwise convolution of one image.
bool suits_depthwise(const Problem& problem, const Epilogue& epilogue);
/// Computes it; `convolve_direct` gets the channels for which XNNPACK has other results.
void convolve_depthwise(const Call& call);

/// Averages of as many of the first planes as XNNPACK computes as PyTorch does: their number is returned.
std::int64_t average_planes(const float* in, std::int64_t planes, std::int64_t elements, float* out);

struct Plane {
  std::int64_t rows;
  std::int64_t columns;
};
/// The same of planes in another size by bilinear interpolation.
std::int64_t resample_planes(const float* in, std::int64_t planes, const Plane& from, const Plane& to, bool aligned,
                             float* out);

}  // namespace cosoc::dense::xnnpack
