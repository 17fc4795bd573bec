/// The int16 arithmetic of the ZIP accelerator, bit for bit.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/zip.hpp"

namespace cosoc {

/// int16 numbers as they lie in memory, complex ones as (re, im).
struct IntegerOperands {
  const std::int16_t* a = nullptr;
  const std::int16_t* b = nullptr;  // `b_count` elements, again and again
  const std::int16_t* c = nullptr;
  std::int16_t* out = nullptr;  // may be an operand, but for a `b` that repeats
  std::size_t count = 0;
  std::size_t b_count = 0;
  std::uint32_t shift = 0;
};

/// Sums of products are exact, then `shift` bits go to the right with rounding to nearest even, c is added, and the
/// result saturates; quotients and roots as docs/zip.md has them.
void zip_integers(ZIPKind kind, const IntegerOperands& operands);

}  // namespace cosoc
