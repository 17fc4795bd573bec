/// Transforms of real signals from complex ones of half their length.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <vector>

#include "kernels/arithmetic.hpp"

namespace cosoc::fourier {

/// exp(-2 pi i power / order) in float64, from the first octant: symmetric roots are equal, those on the axes exact.
struct Root {
  double re = 1.0;
  double im = 0.0;
};
Root root(std::size_t power, std::size_t order);

/// Bins of 2N real numbers: with `e, d = Z[k] +- conj(Z[N - k])` bin k is `(e + d w) / 2`, `w = -i exp(-pi i k / N)` in
/// float32, every operation rounded, as on the FFT accelerator.
class RealSplit {
 public:
  /// `half` is N, at least 1.
  explicit RealSplit(std::size_t half);

  std::size_t half() const { return factors_.size() - 1; }

  /// Bins 0 .. N with canonical NaN, from the transform of the N complex numbers that the real ones are as they lie in
  /// memory. The arrays do not overlap.
  void execute(std::span<const Complex> transformed, Complex* bins) const;

 private:
  std::vector<Complex> factors_;
};

/// The latest one of the process, if it is of this size, or a new one.
std::shared_ptr<const RealSplit> real_split_of(std::size_t half);

}  // namespace cosoc::fourier
