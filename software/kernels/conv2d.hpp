/// Quantized 2-D convolution.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>

#include "kernels/convolution.hpp"
#include "kernels/kernel.hpp"
#include "kernels/prepare.hpp"

namespace cosoc {

/// How the sums over pooled windows become the output.
struct Averaging {
  float multiplier = 1.0F;      // scale of the convolution's result by that of the output and the elements of a window
  std::int32_t zero_point = 0;  // of the convolution's result
  std::array<std::int16_t, 2> clamp = {-128, 127};
};

struct Conv2DAttributes {
  Window window;
  std::int64_t groups = 1;
  std::array<std::int16_t, 2> clamp = {-128, 127};
  /// Scale of the residual by that of the output, `residual_fraction` bits behind the point; absent without a residual.
  std::optional<std::int64_t> residual_multiplier = {};
  /// Pooling of the result: of averages with `average`, else of maxima.
  std::optional<Window> pool = {};
  std::optional<Averaging> average = {};
};

/// Operation `conv2d`: inputs are the feature map, weight, bias and multiplier, and with `residual_multiplier` a
/// feature map that is added before the result is rounded.
class Conv2DKernel final : public Kernel, public Preparable {
 public:
  /// The kernel's extents come from the weight; those in `attributes.window` are not used.
  explicit Conv2DKernel(const Conv2DAttributes& attributes) : attributes_(attributes) {}

  /// Attributes with the kernel's extents of this weight.
  Conv2DAttributes attributes_for(const TensorType& weight) const;
  /// Type of the convolution's result before its pooling, for types that `check` accepted; its scale does not count.
  TensorType unpooled(std::span<const TensorType> inputs, const TensorType& output) const;

  std::string_view name() const override { return "conv2d"; }
  nlohmann::json attributes() const override;
  Status check(std::span<const TensorType> inputs, std::span<const TensorType> outputs) const override;
  std::shared_ptr<const Kernel> prepare(std::span<const TensorView> inputs,
                                        std::span<const TensorType> outputs) const override;
  Status run(std::span<const TensorView> inputs, std::span<const TensorView> outputs) const override;
  Work work(std::span<const TensorType> inputs, std::span<const TensorType> outputs) const override;

 private:
  /// The convolution without its pooling.
  Convolution convolution_of(const TensorType& weight) const;

  Conv2DAttributes attributes_;
  std::shared_ptr<const PackedConvolution> packed_;  // null unless prepared
};

}  // namespace cosoc
