/// What all convolutions of quantized feature maps have in common.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "kernels/check.hpp"
#include "kernels/tensor.hpp"
#include "kernels/window.hpp"

namespace cosoc {

/// How the inputs feature map, weight (Cout, Kh, Kw, Cin / groups), bias and multiplier, and perhaps a residual, become
/// an output.
struct Convolution {
  Window window = {};
  /// The window's stride and dilation are those of the output, and its padding is taken away from it.
  bool transposed = false;
  std::int64_t groups = 1;
  std::array<std::int16_t, 2> clamp = {-128, 127};
  /// Scale of the residual by that of the output, `residual_fraction` bits behind the point; absent without a residual.
  std::optional<std::int64_t> residual_multiplier = {};
};

/// Checks the inputs but the residual, and that the output is of their dtype. False: look at no shape.
bool check_convolution(TypeCheck& check, std::int64_t groups, std::span<const TensorType> inputs,
                       const TensorType& output);

/// The weights of an int8 convolution in the order in which they are read.
struct PackedConvolution {
  std::vector<std::vector<std::int16_t>> groups;
};
std::shared_ptr<const PackedConvolution> pack_convolution(const Convolution& convolution, const TensorView& weight);

/// Computes on the calling thread. The shape of the output says for which pixels; types were checked. `packed` are the
/// weights, or null.
void convolve(const Convolution& convolution, std::span<const TensorView> inputs, const TensorView& output,
              const PackedConvolution* packed = nullptr);

}  // namespace cosoc
