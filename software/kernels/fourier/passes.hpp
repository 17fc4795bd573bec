/// Passes of the Stockham transform (autosort, decimation in frequency): each reads one array and writes another, and
/// after the last one the results lie in natural order, without a permutation.
///
/// Source of the algorithm: C. Van Loan, Computational Frameworks for the Fast Fourier Transform, SIAM 1992,
/// section 1.7.
#pragma once

#include <cstddef>

#include "kernels/arithmetic.hpp"

namespace cosoc::fourier {

/// One pass: length / radix butterflies in each of `stride` interleaved transforms of `length` points.
///
///     y[q + stride * (radix * p + k)] = w^(p k) * sum over j of x[q + stride * (p + length / radix * j)] r^(j k)
///
/// with w = exp(-+2 pi i / length), r = exp(-+2 pi i / radix), 0 <= p < length / radix, 0 <= q < stride.
struct Pass {
  int radix = 0;  // 2, 4, 8 or an odd prime up to `max_radix`
  std::size_t length = 0;
  std::size_t stride = 0;
  bool inverse = false;
  /// Factors w^(p k) at [(k - 1) * length / radix + p], as pairs (re, re) in one array and (-im, im) in the other.
  const Complex* real = nullptr;
  const Complex* imaginary = nullptr;
  float scale = 1;  // of the results; of a pass without factors (length = radix) only
};

inline constexpr int max_radix = 13;

enum class InstructionSet { baseline, avx2 };

/// The best one of this machine.
InstructionSet best_instruction_set();

/// Executes a pass. `x` and `y` do not overlap. The bits of the results do not depend on the instruction set.
void execute(InstructionSet set, const Pass& pass, const Complex* x, Complex* y);

}  // namespace cosoc::fourier
