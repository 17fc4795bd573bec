/// How a convolution is cut into commands that fit the buffers of a Conv2D accelerator.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "cosoc/generated/conv2d.hpp"
#include "kernels/conv2d.hpp"
#include "kernels/tensor.hpp"

namespace cosoc {

/// A convolution in the units of the hardware: words of 16 channels, blocks of `output_lanes` channels, bytes.
struct Conv2DGeometry {
  std::int64_t images = 1;
  std::array<std::int64_t, 2> in{};  // rows, columns
  std::int64_t in_words = 0;
  std::array<std::int64_t, 2> out{};  // rows, columns
  std::int64_t out_words = 0;
  std::int64_t out_blocks = 0;
  Window window;
  std::int64_t in_image_pitch = 0;
  std::int64_t in_row_pitch = 0;
  std::int64_t in_pixel_pitch = 0;
  std::int64_t out_image_pitch = 0;
  std::int64_t out_row_pitch = 0;
  std::int64_t out_pixel_pitch = 0;
  std::int32_t in_zero_point = 0;
  std::int32_t out_zero_point = 0;
  std::array<std::int8_t, 2> clamp{};
};

/// The geometry of a call that `Conv2DDriver::supports` accepted. Pixels that a kernel of one row or column skips are
/// not loaded, and the images of a batch become rows of one image where windows do not reach across rows.
Conv2DGeometry make_geometry(const Conv2DAttributes& attributes, std::span<const TensorType> inputs,
                             const TensorType& output, const conv2d::Config& config);

/// Largest part of each axis in one command.
struct Conv2DTiling {
  std::int64_t rows = 0;     // of the output
  std::int64_t columns = 0;  // of the output
  std::int64_t blocks = 0;   // of output channels
  std::int64_t words = 0;    // of input channels; the sums of all parts are added in the accelerator

  bool operator==(const Conv2DTiling&) const = default;
};

/// The tiling with the fewest expected cycles among those that fit the buffers.
Conv2DTiling choose_tiling(const Conv2DGeometry& geometry, const conv2d::Config& config);

/// Commands in order. Addresses are relative to the input, the output, the packed weights and the channel parameters.
std::vector<conv2d::Command> tile_commands(const Conv2DGeometry& geometry, const Conv2DTiling& tiling,
                                           const conv2d::Config& config);

}  // namespace cosoc
