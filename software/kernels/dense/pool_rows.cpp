#include "kernels/dense/pool_rows.hpp"

#include <algorithm>
#include <limits>

#include "kernels/dispatch.hpp"

namespace cosoc::dense {
namespace {

template <bool max>
[[gnu::always_inline]] inline float join(float a, float b) {
  if constexpr (max) {
    // NaN wins.
    return b > a || b != b ? b : a;
  } else {
    return a + b;
  }
}

template <bool max>
[[gnu::always_inline]] inline void pool(const PoolRow& p) {
  constexpr float outside = max ? -std::numeric_limits<float>::infinity() : 0.0F;
  std::fill_n(p.joined, p.padded_columns(), outside);
  float* const middle = p.joined + p.padding;
  for (std::int64_t plane = 0; plane < p.planes; ++plane) {
    for (std::int64_t row = 0; row < p.rows; ++row) {
      const float* from = p.in + plane * p.plane_step + row * p.row_step;
#pragma GCC ivdep
      for (std::int64_t x = 0; x < p.columns; ++x) middle[x] = join<max>(middle[x], from[x]);
    }
  }
  std::fill_n(p.out, p.outputs, outside);
  for (std::int64_t tap = 0; tap < p.kernel; ++tap) {
    const float* from = p.joined + tap * p.dilation;
    if (p.stride == 1) {
#pragma GCC ivdep
      for (std::int64_t i = 0; i < p.outputs; ++i) p.out[i] = join<max>(p.out[i], from[i]);
    } else if (p.stride == 2) {
#pragma GCC ivdep
      for (std::int64_t i = 0; i < p.outputs; ++i) p.out[i] = join<max>(p.out[i], from[2 * i]);
    } else {
      for (std::int64_t i = 0; i < p.outputs; ++i) p.out[i] = join<max>(p.out[i], from[p.stride * i]);
    }
  }
  if constexpr (!max) {
    for (std::int64_t i = 0; i < p.outputs; ++i) p.out[i] /= p.counts[i] * p.count;
  }
}

[[gnu::always_inline]] inline void pool_any(const PoolRow& row) { row.max ? pool<true>(row) : pool<false>(row); }

COSOC_DISPATCH(pool_chosen, pool_any, const PoolRow&)

}  // namespace

void pool_row(const PoolRow& row) { pool_chosen(row); }

}  // namespace cosoc::dense
