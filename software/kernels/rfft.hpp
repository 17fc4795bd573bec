/// Discrete Fourier transform of real float32 signals.
#pragma once

#include "kernels/kernel.hpp"

namespace cosoc {

/// Operation `rfft` over the last dimension: float32 (..., L) to the bins 0 .. L / 2, complex64 (..., L / 2 + 1).
/// Signals of even length are transformed as L / 2 complex numbers, see fourier/real.hpp.
class RFFTKernel final : public Kernel {
 public:
  std::string_view name() const override { return "rfft"; }
  nlohmann::json attributes() const override;
  Status check(std::span<const TensorType> inputs, std::span<const TensorType> outputs) const override;
  Status run(std::span<const TensorView> inputs, std::span<const TensorView> outputs) const override;
  Work work(std::span<const TensorType> inputs, std::span<const TensorType> outputs) const override;
};

}  // namespace cosoc
