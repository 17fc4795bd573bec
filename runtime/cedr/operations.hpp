/// The operations of CEDR's calls: their operands as tensors, and their kernels.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>

#include "kernels/kernel.hpp"

namespace cosoc::cedr {

enum class Operation : std::uint32_t {
  zip_flt,
  zip_int,
  fft_flt,
  fft_int,
  gemm_flt,
  gemm_int,
  madd_flt,
  madd_int,
  msub_flt,
  msub_int,
  transpose_flt,
  transpose_int,
  bpsk_flt,
  qam16_flt,
  conv_2d_int,
  conv_1d_flt,
};

/// All of a call but where its operands lie.
struct Shape {
  Operation operation{};
  std::uint32_t variant = 0;  // the operation of ZIP; whether an FFT is inverse, a transpose conjugates
  std::array<std::uint64_t, 3> sizes{};

  bool operator==(const Shape&) const = default;
  /// Nothing to compute.
  bool is_empty() const;
  std::size_t inputs() const;
};

/// As in dash.h, for messages and traces: "DASH_FFT_flt".
std::string_view name_of(Operation operation);

struct Operands {
  std::vector<TensorType> inputs;
  TensorType output;
};

/// Complex int16 numbers are tensors of int16 whose last dimension is 2: imaginary part, real part.
Operands operands_of(const Shape& shape);

/// A kernel of the library where one computes the same, otherwise one for CPU cores.
Result<std::shared_ptr<const Kernel>> make_kernel_of(const Shape& shape);

}  // namespace cosoc::cedr
