/// Fast discrete Fourier transforms of complex float32, of any length, on a CPU.
#pragma once

#include <cstddef>
#include <memory>
#include <vector>

#include "kernels/arithmetic.hpp"
#include "kernels/fourier/passes.hpp"

namespace cosoc::fourier {

enum class Direction { forward, inverse };

/// A transform of one length and direction, prepared: factors, and the sequence of passes.
///
/// Lengths without a prime factor above 13 run as Stockham passes of radix 8, 4, 2 and the odd primes; the others by
/// Bluestein's algorithm (L. Bluestein, A linear filtering approach to the computation of the discrete Fourier
/// transform, 1970): a convolution with a chirp by transforms of a power of two. The relative error against float64, in
/// the norm, is below 2^-24 * (1 + log2 length), and twice that with Bluestein. The inverse multiplies by
/// 1/length.
///
/// The bits of the results do not depend on the instruction set. A transform may be used by several threads at once.
class Transform {
 public:
  /// `length` is at least 1.
  Transform(std::size_t length, Direction direction, InstructionSet set = best_instruction_set());
  ~Transform();
  Transform(const Transform&) = delete;
  Transform& operator=(const Transform&) = delete;

  std::size_t length() const { return length_; }

  /// `columns` interleaved transforms: element n of column c at [n * columns + c]. `in` and `out` are the same array,
  /// or do not overlap.
  void execute(const Complex* in, Complex* out, std::size_t columns = 1) const;

 private:
  struct Chirp;

  void add_pass(int radix, std::size_t remaining);
  void execute_block(const Complex* in, Complex* out, std::size_t columns) const;

  std::size_t length_;
  Direction direction_;
  InstructionSet set_;
  std::vector<Pass> passes_;      // strides for one column
  std::vector<Complex> factors_;  // of all passes
  std::unique_ptr<Chirp> chirp_;  // for Bluestein only
};

/// A transform from a bounded cache of the process.
std::shared_ptr<const Transform> transform_of(std::size_t length, Direction direction);

}  // namespace cosoc::fourier
