/// Transforms as the FFT accelerator computes them: every operation of its number format, in its order.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "cosoc/generated/fft.hpp"
#include "kernels/arithmetic.hpp"

namespace cosoc::fft {

/// exp(-2 pi i power / order) in float64, from the first octant: symmetric roots are equal, those on the axes exact.
struct Root {
  double re = 1.0;
  double im = 0.0;
};
Root root(std::size_t power, std::size_t order);

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

/// Bins 0 .. N of 2N real numbers, from the transform of the N complex numbers that they are as they lie in memory.
std::vector<Complex> split_real(std::span<const Complex> transformed);

}  // namespace cosoc::fft
