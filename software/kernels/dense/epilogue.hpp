/// What happens to sums of products before they are stored.
#pragma once

#include <cstdint>
#include <limits>

namespace cosoc::dense {

struct Epilogue {
  const float* bias = nullptr;      // one number for each channel, or none
  const float* residual = nullptr;  // added; laid out as the output, or none
  float low = -std::numeric_limits<float>::infinity();
  float high = std::numeric_limits<float>::infinity();

  /// Stores `count` values of one channel at `offset` of the output, where the sums may lie too. NaN stays.
  [[gnu::always_inline]] inline void store(const float* sums, std::int64_t channel, std::int64_t offset,
                                           std::int64_t count, float* out) const {
    const float start = bias == nullptr ? 0.0F : bias[channel];
    float* to = out + offset;
    const auto limited = [this](float value) { return value < low ? low : value > high ? high : value; };
    if (residual == nullptr) {
#pragma GCC ivdep
      for (std::int64_t i = 0; i < count; ++i) to[i] = limited(sums[i] + start);
    } else {
      const float* added = residual + offset;
#pragma GCC ivdep
      for (std::int64_t i = 0; i < count; ++i) to[i] = limited(sums[i] + start + added[i]);
    }
  }
};

}  // namespace cosoc::dense
