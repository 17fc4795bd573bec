/// Calls of kernels as commands of the FFT accelerator.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "cosoc/generated/fft.hpp"
#include "kernels/fft.hpp"

namespace cosoc::fft {

/// Columns of a frame: a row of 4 is two beats of memory, and rows of more than 32 gain nothing.
inline constexpr std::uint64_t min_columns = 4;
inline constexpr std::uint64_t max_columns = 32;

/// A call, as far as its commands depend on it. `length` of the shape counts complex numbers: of real signals, half.
struct Call {
  FFTShape shape;
  bool inverse = false;
  bool real = false;
  bool conjugate = false;
  std::uint64_t b_count = 0;  // elements of a second operand, 0: none
};

/// Whether the FFT has the operation of a kernel.
bool runs(const Kernel& kernel);

/// Of a kernel that it has, with types that the kernel accepts.
Call call_of(const Kernel& kernel, std::span<const TensorType> inputs);

/// Columns of each frame of a matrix; 0 when it does not fall into such.
std::uint64_t columns_of_frame(const Config& config, const FFTShape& shape);

/// Whether a second operand lies so that commands reach it: as the result, or one row that repeats.
bool reaches(const Call& call);

/// Commands of a call, with addresses relative to each tensor.
std::vector<Command> split(const Config& config, const Call& call);

}  // namespace cosoc::fft
