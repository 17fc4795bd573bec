#include "kernels/dense/panels.hpp"

#include <algorithm>

#include "kernels/dispatch.hpp"

namespace cosoc::dense {
namespace {

using Floats [[gnu::vector_size(32)]] = float;
using Stored [[gnu::vector_size(32), gnu::aligned(4), gnu::may_alias]] = float;

/// One panel of rows by one of columns. Sums of rows and columns beyond `rows` and `columns` are not stored.
[[gnu::always_inline]] inline void multiply_panel(const PanelProduct& p, const float* a, const float* b, float* c,
                                                  std::int64_t rows, std::int64_t columns) {
  Floats sums[panel_rows][2] = {};
  for (std::int64_t k = 0; k < p.depth; ++k, a += panel_rows, b += panel_columns) {
    const Floats left = *reinterpret_cast<const Stored*>(b);
    const Floats right = *reinterpret_cast<const Stored*>(b + 8);
#pragma GCC unroll 6
    for (std::int64_t row = 0; row < panel_rows; ++row) {
      sums[row][0] += a[row] * left;
      sums[row][1] += a[row] * right;
    }
  }
  if (columns == panel_columns) {
#pragma GCC unroll 6
    for (std::int64_t row = 0; row < panel_rows; ++row) {
      if (row >= rows) return;
      Stored* out = reinterpret_cast<Stored*>(c + row * p.c_stride);
      out[0] = p.accumulate ? out[0] + sums[row][0] : sums[row][0];
      out[1] = p.accumulate ? out[1] + sums[row][1] : sums[row][1];
    }
    return;
  }
  float spread[panel_rows][panel_columns];
#pragma GCC unroll 6
  for (std::int64_t row = 0; row < panel_rows; ++row) {
    *reinterpret_cast<Stored*>(spread[row]) = sums[row][0];
    *reinterpret_cast<Stored*>(spread[row] + 8) = sums[row][1];
  }
  for (std::int64_t row = 0; row < rows; ++row) {
    float* out = c + row * p.c_stride;
    for (std::int64_t i = 0; i < columns; ++i) out[i] = (p.accumulate ? out[i] : 0.0F) + spread[row][i];
  }
}

/// Rows outside: what is read from far away, the packed weights, is read once.
[[gnu::always_inline]] inline void multiply_all(const PanelProduct& p) {
  for (std::int64_t row = 0; row < p.rows; row += panel_rows) {
    const float* a = p.a + row * p.a_depth;
    for (std::int64_t column = 0; column < p.columns; column += panel_columns) {
      multiply_panel(p, a, p.b + column * p.depth, p.c + row * p.c_stride + column, std::min(panel_rows, p.rows - row),
                     std::min(panel_columns, p.columns - column));
    }
  }
}

COSOC_DISPATCH(multiply_chosen, multiply_all, const PanelProduct&)

}  // namespace

void pack_rows(const float* a, std::int64_t rows, std::int64_t depth, float* packed) {
  for (std::int64_t row = 0; row < rows; row += panel_rows) {
    const std::int64_t count = std::min(panel_rows, rows - row);
    for (std::int64_t k = 0; k < depth; ++k) {
      for (std::int64_t i = 0; i < panel_rows; ++i) *packed++ = i < count ? a[(row + i) * depth + k] : 0.0F;
    }
  }
}

void multiply(const PanelProduct& product) { multiply_chosen(product); }

}  // namespace cosoc::dense
