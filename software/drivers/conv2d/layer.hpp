/// Layers that the Conv2D engine executes, as callers describe them.
#pragma once

#include <cstdint>
#include <optional>

#include "cosoc/generated/conv2d.hpp"
#include "device/result.hpp"

namespace cosoc::conv2d {

/// Rows and columns of something.
struct Size {
  std::int64_t rows = 1;
  std::int64_t columns = 1;
  bool operator==(const Size&) const = default;
};

/// Positions around a feature map.
struct Padding {
  std::int64_t top = 0;
  std::int64_t left = 0;
  std::int64_t bottom = 0;
  std::int64_t right = 0;
  bool operator==(const Padding&) const = default;
};

/// A tensor of the shape of the convolution's output that is added before the clamp.
struct Residual {
  double multiplier = 1.0;  // its scale by that of the output
  std::int32_t zero_point = 0;
  bool operator==(const Residual&) const = default;
};

/// Maximum over windows; positions of the padding do not count.
struct MaxPooling {
  Size window;
  Size stride;
  Padding padding;
  bool operator==(const MaxPooling&) const = default;
};

enum class Kind {
  convolution,             // weight (out_channels, kernel rows, kernel columns, in_channels / groups)
  transposed_convolution,  // the same weight; stride and dilation are those of the output, padding takes away from it;
                           // between the pixels of the input lies its zero point
  max_pooling,             // `pooling` of the input alone
};

/// Shape and number format of a layer. Feature maps are (images, rows, columns, channels), every pixel padded to 16
/// bytes; activations are int8 or int16 as the accelerator has them, weights int8.
struct Layer {
  Kind kind = Kind::convolution;
  std::int64_t images = 1;
  Size in;
  std::int64_t in_channels = 1;
  std::int64_t out_channels = 1;
  Size kernel;
  Size stride;
  Padding padding;
  Size dilation;
  Size output_padding = {0, 0};  // of a transposed convolution: rows and columns added at the end
  std::int64_t groups = 1;
  std::int32_t in_zero_point = 0;
  std::int32_t out_zero_point = 0;
  std::int32_t clamp_min = -128;
  std::int32_t clamp_max = 127;
  std::optional<Residual> residual;
  std::optional<MaxPooling> pooling;
  bool operator==(const Layer&) const = default;
};

/// Rows and columns of the convolution's result, before pooling.
Size convolved_size(const Layer& layer);

/// Rows and columns of the output.
Size output_size(const Layer& layer);

/// Whether the layer makes sense and its values fit the instructions' fields; tiling may still find no room.
Status validate(const Config& config, const Layer& layer);

}  // namespace cosoc::conv2d
