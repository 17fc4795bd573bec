/// Discrete Fourier transform of complex float32.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <span>

#include "kernels/kernel.hpp"

namespace cosoc {

/// A tensor as the transforms of one of its dimensions: `matrices` row-major ones of `length` rows and `columns`
/// columns, which are transformed.
struct FFTShape {
  std::size_t matrices = 1;
  std::size_t length = 1;
  std::size_t columns = 1;
};

class AttributeReader;

/// Attributes of a transform.
struct FFTOptions {
  bool inverse = false;
  std::optional<std::size_t> axis;
};
FFTOptions read_fft_options(AttributeReader& reader);

/// Operation `fft` over one dimension, the last one unless there is an attribute `axis`, of any length: see
/// fourier/transform.hpp for its accuracy.
class FFTKernel final : public Kernel {
 public:
  explicit FFTKernel(bool inverse, std::optional<std::size_t> axis = std::nullopt) : inverse_(inverse), axis_(axis) {}

  bool inverse() const { return inverse_; }
  /// Of a tensor that `check` accepts.
  FFTShape shape(const TensorType& type) const;

  std::string_view name() const override { return "fft"; }
  nlohmann::json attributes() const override;
  Status check(std::span<const TensorType> inputs, std::span<const TensorType> outputs) const override;
  Status run(std::span<const TensorView> inputs, std::span<const TensorView> outputs) const override;
  Work work(std::span<const TensorType> inputs, std::span<const TensorType> outputs) const override;

 private:
  bool inverse_;
  std::optional<std::size_t> axis_;
};

}  // namespace cosoc
