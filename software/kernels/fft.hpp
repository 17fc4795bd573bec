/// Discrete Fourier transform of complex float32, radix-2^2 decimation in frequency.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <span>
#include <vector>

#include "kernels/arithmetic.hpp"
#include "kernels/kernel.hpp"

namespace cosoc {

/// Transforms of one length, a power of two, with every operation in the order that docs/architecture.md fixes.
class FFTPlan {
 public:
  explicit FFTPlan(std::size_t length);

  /// One transform in natural order with canonical NaN; `in` and `out` have `length` elements and may be the same.
  void transform(const Complex* in, Complex* out, bool inverse);

 private:
  void butterflies(std::size_t half, bool odd);
  void rotate(std::size_t half);

  std::size_t length_;
  std::vector<Complex> roots_;  // exp(-2 pi i k / length)
  std::vector<Complex> values_;
};

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
