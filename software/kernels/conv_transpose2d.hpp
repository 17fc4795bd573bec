/// Quantized transposed 2-D convolution.
#pragma once

#include "kernels/convolution.hpp"
#include "kernels/kernel.hpp"

namespace cosoc {

/// Operation `conv_transpose2d`: inputs are the feature map, weight, bias and multiplier.
///
/// A convolution with stride 1 of the input spread over the output: its pixels lie `stride` apart, and what is between
/// and around them has the value of its zero point. Tap k of the weight meets, for output o, the place
/// o + padding - k * dilation.
class ConvTranspose2DKernel final : public Kernel {
 public:
  using Extent = std::array<std::int64_t, 2>;

  /// The kernel's extents come from the weight; those in `convolution.window` are not used.
  ConvTranspose2DKernel(const Convolution& convolution, const Extent& output_padding)
      : convolution_(convolution), output_padding_(output_padding) {}

  /// The attributes with the kernel's extents of this weight.
  Convolution convolution_for(const TensorType& weight) const;
  /// Rows and columns that are added at the end of the output.
  const Extent& output_padding() const { return output_padding_; }

  std::string_view name() const override { return "conv_transpose2d"; }
  nlohmann::json attributes() const override;
  Status check(std::span<const TensorType> inputs, std::span<const TensorType> outputs) const override;
  Status run(std::span<const TensorView> inputs, std::span<const TensorView> outputs) const override;
  Work work(std::span<const TensorType> inputs, std::span<const TensorType> outputs) const override;

 private:
  Convolution convolution_;
  Extent output_padding_;
};

}  // namespace cosoc
