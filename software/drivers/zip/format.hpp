/// What a ZIP command is about: which operands, and how many bytes.
#pragma once

#include <cstdint>

#include "cosoc/generated/zip.hpp"

namespace cosoc::zip {

/// Bytes of the longest `b` that repeats, and what more than one element of it must fill.
inline constexpr std::uint64_t max_repeated_bytes = 8192;
inline constexpr std::uint64_t slot_bytes_of_b = 8;

struct Shape {
  std::uint64_t element_bytes = 0;
  std::uint64_t result_bytes = 0;
  bool with_b = false;   // from memory
  bool repeats = false;  // b is short
  bool with_c = false;
};

/// Of a command with a known opcode.
Shape shape_of(const Config& config, const Command& command);

}  // namespace cosoc::zip
