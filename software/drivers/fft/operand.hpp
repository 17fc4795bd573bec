/// Where the operands of an FFT command lie in memory.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "cosoc/generated/fft.hpp"
#include "device/functional/functional_model.hpp"
#include "kernels/arithmetic.hpp"

namespace cosoc::fft {

/// An operand of a command: `frames` frames of `rows` rows of `row_samples` samples.
struct Operand {
  std::uint64_t address = 0;
  std::uint64_t row_samples = 0;
  std::uint64_t rows = 1;
  std::uint64_t frames = 1;
  std::uint64_t row_stride = 0;  // bytes
  std::uint64_t frame_stride = 0;

  static Operand input(const Command& command);
  static Operand output(const Command& command);
  /// Of a command that multiplies.
  static Operand second(const Command& command);

  std::uint64_t row_bytes() const { return row_samples * sizeof(Complex); }
  bool rows_joined() const { return rows == 1 || row_stride == row_bytes(); }
  bool frames_joined() const { return rows_joined() && (frames == 1 || frame_stride == rows * row_bytes()); }

  /// Bytes of a transfer, and how many of them the operand takes: pieces without a gap are one.
  std::uint64_t transfer_bytes() const;
  std::uint64_t transfers() const;

  /// The memory of each row, in order; empty when a transfer fails.
  std::vector<std::span<const std::byte>> read(CommandMemory& memory) const;
  std::vector<std::span<std::byte>> write(CommandMemory& memory) const;
};

}  // namespace cosoc::fft
