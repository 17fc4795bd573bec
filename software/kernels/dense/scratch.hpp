/// Memory that kernels write while they run.
#pragma once

#include <cstdint>
#include <vector>

namespace cosoc::dense {

/// At least `count` floats of the calling thread, valid until its next call; their values are unspecified.
inline float* scratch_floats(std::int64_t count) {
  thread_local std::vector<float> floats;
  if (floats.size() < static_cast<std::size_t>(count)) floats.resize(static_cast<std::size_t>(count));
  return floats.data();
}

}  // namespace cosoc::dense
