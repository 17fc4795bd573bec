/// Transforms as the FFT accelerator computes them: every operation of its number format, in its order.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "cosoc/generated/fft.hpp"
#include "kernels/arithmetic.hpp"

namespace cosoc::fft {

/// Transforms of one length.
class Transform {
 public:
  Transform() = default;
  virtual ~Transform() = default;
  Transform(const Transform&) = delete;
  Transform& operator=(const Transform&) = delete;

  /// One transform in place, in natural order with canonical NaN; `scaled` divides by the length.
  virtual void run(std::span<Complex> values, bool inverse, bool scaled) const = 0;
};

/// Of a length that is a power of two, at least 2. `interleave_log2` is that of the frame that the transforms are
/// columns of: its parity changes some roundings.
std::unique_ptr<Transform> make_transform(const Config& config, std::size_t length, std::uint32_t interleave_log2);

}  // namespace cosoc::fft
