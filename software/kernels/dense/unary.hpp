/// Functions of one float32 element with a float32 result.
#pragma once

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

}  // namespace cosoc::dense
