/// Constants of a convolution as the Conv2D accelerator reads them.
#pragma once

#include <cstddef>
#include <span>

#include "cosoc/generated/conv2d.hpp"
#include "kernels/tensor.hpp"

namespace cosoc {

/// Where the parts of packed constants lie.
struct PackedLayout {
  std::size_t channel_offset = 0;  // of the channel parameters; the weights begin at 0
  std::size_t bytes = 0;
};

PackedLayout packed_layout(const TensorType& weight, const conv2d::Config& config);

/// Packs weights, biases and multipliers into `packed`, `packed_layout().bytes` long.
///
/// Weights: [part of `part_words` input words][block of output lanes][kernel row][kernel column][word][lane][16
/// channels]; int8. Channel parameters: int32 bias and float32 multiplier of every lane of every block. What lies above
/// the last input or output channel is zero.
void pack_constants(const TensorView& weight, const TensorView& bias, const TensorView& multiplier,
                    std::size_t part_words, const conv2d::Config& config, std::span<std::byte> packed);

}  // namespace cosoc
