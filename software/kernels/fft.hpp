/// Discrete Fourier transform of complex float32.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <span>

#include "kernels/kernel.hpp"

namespace cosoc {

/// Operation `fft` over the last dimension, of any length: see fourier/transform.hpp for its accuracy.
class FFTKernel final : public Kernel {
 public:
  explicit FFTKernel(bool inverse) : inverse_(inverse) {}

  bool inverse() const { return inverse_; }

  std::string_view name() const override { return "fft"; }
  nlohmann::json attributes() const override;
  Status check(std::span<const TensorType> inputs, std::span<const TensorType> outputs) const override;
  Status run(std::span<const TensorView> inputs, std::span<const TensorView> outputs) const override;
  Work work(std::span<const TensorType> inputs, std::span<const TensorType> outputs) const override;

 private:
  bool inverse_;
};

}  // namespace cosoc
