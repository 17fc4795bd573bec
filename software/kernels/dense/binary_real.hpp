/// Functions of two float32 elements that are vector code where the C library would be called for each.
#pragma once

#include <cstdint>

namespace cosoc::dense {

struct PairCall {
  const float* a = nullptr;
  const float* b = nullptr;
  float* out = nullptr;
  std::int64_t count = 0;
};

/// The C library's, exactly.
void map_fmod(const PairCall& call);
/// PyTorch's: the rest has the sign of b.
void map_remainder(const PairCall& call);
/// PyTorch's: the quotient rounded down.
void map_floor_divide(const PairCall& call);
/// Within 4e-7 of the result.
void map_atan2(const PairCall& call);

}  // namespace cosoc::dense
