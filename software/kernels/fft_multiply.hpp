/// Fourier transform whose result is multiplied, element by element: convolution and correlation in one pass less.
#pragma once

#include "kernels/fft.hpp"

namespace cosoc {

/// Operation `fft_multiply`: the operation `fft` of the first input, then `zip`'s `mul` or `conjugate_mul` with the
/// second one, which has the shape of the first one or of its last dimensions.
class FFTMultiplyKernel final : public Kernel {
 public:
  FFTMultiplyKernel(const FFTOptions& options, bool conjugate)
      : transform_(options.inverse, options.axis), conjugate_(conjugate) {}

  const FFTKernel& transform() const { return transform_; }
  bool conjugate() const { return conjugate_; }

  std::string_view name() const override { return "fft_multiply"; }
  nlohmann::json attributes() const override;
  Status check(std::span<const TensorType> inputs, std::span<const TensorType> outputs) const override;
  Status run(std::span<const TensorView> inputs, std::span<const TensorView> outputs) const override;
  Work work(std::span<const TensorType> inputs, std::span<const TensorType> outputs) const override;

 private:
  FFTKernel transform_;
  bool conjugate_;
};

}  // namespace cosoc
