/// Functions of one element: of float32 with a float32 result, of complex64 with a complex64 result.
#pragma once

#include <complex>
#include <cstdint>
#include <span>
#include <string_view>

namespace cosoc::dense {

struct RealCall {
  std::string_view operation;
  std::span<const float> parameters;
  const float* in = nullptr;
  float* out = nullptr;
  std::int64_t count = 0;
};

/// False when there is no such function.
bool map_real(const RealCall& call);

/// The same for complex numbers, which have no parameters.
bool map_complex(std::string_view operation, std::span<const std::complex<float>> in, std::complex<float>* out);

}  // namespace cosoc::dense
