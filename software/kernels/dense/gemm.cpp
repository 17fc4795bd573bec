#include "kernels/dense/gemm.hpp"

#include <algorithm>
#include <cstring>
#include <vector>

namespace cosoc::dense {
namespace {

constexpr std::int64_t tile_rows = 6;
constexpr std::int64_t tile_columns = 16;
/// Rows of b in one panel: with 16 columns a panel takes 16 KB, half of a first-level cache.
constexpr std::int64_t panel_depth = 256;

using Floats [[gnu::vector_size(32)]] = float;
using Stored [[gnu::vector_size(32), gnu::aligned(4), gnu::may_alias]] = float;

/// tile_rows x 16 sums in registers: panel (depth x 16) by rows of a. `count` rows are there, the others repeat the
/// last one.
[[gnu::always_inline]] inline void tile(const float* const* a, const float* panel, std::int64_t depth, float* const* c,
                                        std::int64_t count, std::int64_t columns) {
  Floats sums[tile_rows][2] = {};
  for (std::int64_t k = 0; k < depth; ++k) {
    const Floats left = *reinterpret_cast<const Stored*>(panel + k * tile_columns);
    const Floats right = *reinterpret_cast<const Stored*>(panel + k * tile_columns + 8);
#pragma GCC unroll 8
    for (std::int64_t row = 0; row < tile_rows; ++row) {
      const float factor = a[row][k];
      sums[row][0] += factor * left;
      sums[row][1] += factor * right;
    }
  }
  for (std::int64_t row = 0; row < count; ++row) {
    float spread[tile_columns];
    std::memcpy(spread, sums[row], sizeof(spread));
    for (std::int64_t column = 0; column < columns; ++column) c[row][column] += spread[column];
  }
}

/// Sixteen columns of b, `depth` rows from `first`, side by side; columns beyond the last are zero.
[[gnu::always_inline]] inline void pack(const Product& p, std::int64_t first, std::int64_t depth, std::int64_t column,
                                        float* panel) {
  const std::int64_t count = std::min(tile_columns, p.columns - column);
  if (count < tile_columns) std::fill_n(panel, depth * tile_columns, 0.0F);
  if (p.b_transposed) {
    for (std::int64_t i = 0; i < count; ++i) {
      const float* from = p.b + (column + i) * p.b_stride + first;
      for (std::int64_t k = 0; k < depth; ++k) panel[k * tile_columns + i] = from[k];
    }
  } else {
    for (std::int64_t k = 0; k < depth; ++k) {
      std::copy_n(p.b + (first + k) * p.b_stride + column, count, panel + k * tile_columns);
    }
  }
}

[[gnu::always_inline]] inline void multiply_tiles(const Product& p, float* panel) {
  for (std::int64_t first = 0; first < p.depth; first += panel_depth) {
    const std::int64_t depth = std::min(panel_depth, p.depth - first);
    for (std::int64_t column = 0; column < p.columns; column += tile_columns) {
      pack(p, first, depth, column, panel);
      for (std::int64_t row = 0; row < p.rows; row += tile_rows) {
        const std::int64_t count = std::min(tile_rows, p.rows - row);
        const float* a[tile_rows];
        float* c[tile_rows];
        for (std::int64_t i = 0; i < tile_rows; ++i) {
          const std::int64_t at = row + std::min(i, count - 1);
          a[i] = p.a + at * p.a_stride + first;
          c[i] = p.c + at * p.c_stride + column;
        }
        tile(a, panel, depth, c, count, std::min(tile_columns, p.columns - column));
      }
    }
  }
}

/// A few rows: packing b would take longer than the product.
[[gnu::always_inline]] inline void multiply_rows(const Product& p) {
  for (std::int64_t row = 0; row < p.rows; ++row) {
    const float* a = p.a + row * p.a_stride;
    float* c = p.c + row * p.c_stride;
    if (!p.b_transposed) {
      for (std::int64_t k = 0; k < p.depth; ++k) {
        const float* b = p.b + k * p.b_stride;
        const float factor = a[k];
        for (std::int64_t column = 0; column < p.columns; ++column) c[column] += factor * b[column];
      }
      continue;
    }
    for (std::int64_t column = 0; column < p.columns; ++column) {
      const float* b = p.b + column * p.b_stride;
      Floats sums[4] = {};
      std::int64_t k = 0;
      for (; k + 32 <= p.depth; k += 32) {
#pragma GCC unroll 4
        for (int i = 0; i < 4; ++i) {
          sums[i] += *reinterpret_cast<const Stored*>(a + k + 8 * i) * *reinterpret_cast<const Stored*>(b + k + 8 * i);
        }
      }
      const Floats all = (sums[0] + sums[1]) + (sums[2] + sums[3]);
      float sum = 0.0F;
      for (int i = 0; i < 8; ++i) sum += all[i];
      for (; k < p.depth; ++k) sum += a[k] * b[k];
      c[column] += sum;
    }
  }
}

[[gnu::always_inline]] inline void multiply_all(const Product& p, float* panel) {
  if (p.rows < tile_rows) {
    multiply_rows(p);
  } else {
    multiply_tiles(p, panel);
  }
}

using Multiply = void (*)(const Product&, float*);

[[gnu::optimize("O3")]] void multiply_baseline(const Product& p, float* panel) { multiply_all(p, panel); }

#if defined(__x86_64__)
[[gnu::optimize("O3", "fp-contract=fast"), gnu::target("avx2,fma")]] void multiply_avx2(const Product& p,
                                                                                        float* panel) {
  multiply_all(p, panel);
}
#endif

Multiply choose() {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx2") != 0 && __builtin_cpu_supports("fma") != 0) return multiply_avx2;
#endif
  return multiply_baseline;
}

}  // namespace

void multiply(const Product& p) {
  static const Multiply chosen = choose();
  for (std::int64_t row = 0; row < p.rows; ++row) {
    float* c = p.c + row * p.c_stride;
    const float start = p.row_bias != nullptr ? p.row_bias[row] : 0.0F;
    if (p.column_bias == nullptr) {
      std::fill_n(c, p.columns, start);
    } else {
      for (std::int64_t column = 0; column < p.columns; ++column) c[column] = start + p.column_bias[column];
    }
  }
  thread_local std::vector<float> panel;
  panel.resize(static_cast<std::size_t>(panel_depth * tile_columns));
  chosen(p, panel.data());
}

}  // namespace cosoc::dense
