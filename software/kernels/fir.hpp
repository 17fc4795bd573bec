/// FIR filter of complex float32 samples with complex float32 taps.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <span>

#include "kernels/arithmetic.hpp"
#include "kernels/kernel.hpp"

namespace cosoc {

/// Filters one frame: `out[i]` is the sum over k of `in[n - delay - k] * taps[k]` with n = i * decimation, terms added
/// in the order of k, those before the frame left out, with canonical NaN. The sum begins with `out[i]` if
/// `accumulate`, else with -0. `out` has room for every n below the length of `in`, and does not overlap it.
void fir_frame(std::span<const Complex> in, std::span<const Complex> taps, std::size_t delay, std::size_t decimation,
               bool accumulate, Complex* out);

/// Operation `fir` over the last dimension: samples and taps to every `decimation`-th result.
class FIRKernel final : public Kernel {
 public:
  explicit FIRKernel(std::int64_t decimation) : decimation_(decimation) {}

  std::int64_t decimation() const { return decimation_; }

  std::string_view name() const override { return "fir"; }
  nlohmann::json attributes() const override;
  Status check(std::span<const TensorType> inputs, std::span<const TensorType> outputs) const override;
  Status run(std::span<const TensorView> inputs, std::span<const TensorView> outputs) const override;
  Work work(std::span<const TensorType> inputs, std::span<const TensorType> outputs) const override;

 private:
  std::int64_t decimation_;
};

}  // namespace cosoc
