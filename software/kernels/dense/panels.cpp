#include "kernels/dense/panels.hpp"

#include <algorithm>

#include "kernels/dispatch.hpp"

namespace cosoc::dense {
namespace {

using Floats8 [[gnu::vector_size(32)]] = float;
using Floats16 [[gnu::vector_size(64)]] = float;
using Stored8 [[gnu::vector_size(32), gnu::aligned(4), gnu::may_alias]] = float;
using Stored16 [[gnu::vector_size(64), gnu::aligned(4), gnu::may_alias]] = float;

/// A vector in registers, and one anywhere in memory.
struct Eight {
  using Vector = Floats8;
  using Memory = Stored8;
  static constexpr std::int64_t width = 8;
};
struct Sixteen {
  using Vector = Floats16;
  using Memory = Stored16;
  static constexpr std::int64_t width = 16;
};

/// Where a tile of c lies.
struct Place {
  std::int64_t row, column;
  std::int64_t columns;  // that are there
};

/// Stores sums of one row; vectors first, then what does not fill one.
template <class Lanes>
[[gnu::always_inline]] inline void store_row(const PanelProduct& p, std::int64_t row, std::int64_t column,
                                             std::int64_t count, const float* sums) {
  using Vector = typename Lanes::Vector;
  using Memory = typename Lanes::Memory;
  const std::int64_t offset = row * p.c_stride + column;
  float* out = p.c + offset;
  const Epilogue& e = p.epilogue;
  const float start = e.bias == nullptr ? 0.0F : e.bias[row];
  const float* residual = e.residual == nullptr ? nullptr : e.residual + offset;
  std::int64_t i = 0;
  for (; i + Lanes::width <= count; i += Lanes::width) {
    Vector value = *reinterpret_cast<const Memory*>(sums + i);
    if (p.accumulate) value += *reinterpret_cast<const Memory*>(out + i);
    value += start;
    if (residual != nullptr) value += *reinterpret_cast<const Memory*>(residual + i);
    value = value < e.low ? Vector{} + e.low : value;
    value = value > e.high ? Vector{} + e.high : value;
    *reinterpret_cast<Memory*>(out + i) = value;
  }
  // Always read, as a masked load from nowhere is an error in emulators.
  const float nothing[Lanes::width] = {};
  const float* added = residual == nullptr ? nothing : residual + i;
  for (std::int64_t first = i; i < count; ++i) {
    const float value = (p.accumulate ? sums[i] + out[i] : sums[i]) + start + added[i - first];
    out[i] = value < e.low ? e.low : value > e.high ? e.high : value;
  }
}

/// Sums of `panels` panels of rows and `vectors` vectors of columns, in registers.
template <class Lanes, std::int64_t panels, std::int64_t vectors>
[[gnu::always_inline]] inline void multiply_tile(const PanelProduct& p, const Place& place) {
  using Vector = typename Lanes::Vector;
  using Memory = typename Lanes::Memory;
  constexpr std::int64_t rows = panels * panel_rows;
  constexpr std::int64_t width = Lanes::width;
  const float* a = p.a + place.row * p.a_depth;
  const float* below = panels == 2 ? a + panel_rows * p.a_depth : a;
  const float* b = p.b + place.column / panel_columns * p.b_panel;
  // From a vector to the next one: in the same panel, or in the panel beside it.
  const std::int64_t next_vector = width == panel_columns ? p.b_panel : width;
  Vector sums[rows][vectors] = {};
  for (std::int64_t k = 0; k < p.depth; ++k, a += panel_rows, below += panel_rows, b += p.b_step) {
    Vector values[vectors];
#pragma GCC unroll 2
    for (std::int64_t i = 0; i < vectors; ++i) values[i] = *reinterpret_cast<const Memory*>(b + i * next_vector);
#pragma GCC unroll 12
    for (std::int64_t row = 0; row < rows; ++row) {
      const float factor = row < panel_rows ? a[row] : below[row - panel_rows];
#pragma GCC unroll 2
      for (std::int64_t i = 0; i < vectors; ++i) sums[row][i] += factor * values[i];
    }
  }
  const std::int64_t count = std::min(rows, p.rows - place.row);
  if (count == rows && place.columns == vectors * width && !p.accumulate && p.epilogue.residual == nullptr) {
    // What most tiles are stored by, straight from registers.
    const Epilogue e = p.epilogue;
    const Vector low = Vector{} + e.low, high = Vector{} + e.high;
    float* out = p.c + place.row * p.c_stride + place.column;
    const std::int64_t stride = p.c_stride;
#pragma GCC unroll 12
    for (std::int64_t row = 0; row < rows; ++row, out += stride) {
      const float start = e.bias == nullptr ? 0.0F : e.bias[place.row + row];
#pragma GCC unroll 2
      for (std::int64_t i = 0; i < vectors; ++i) {
        Vector value = sums[row][i] + start;
        value = value < low ? low : value;
        value = value > high ? high : value;
        *reinterpret_cast<Memory*>(out + i * width) = value;
      }
    }
    return;
  }
  float spread[rows][vectors * width];
#pragma GCC unroll 12
  for (std::int64_t row = 0; row < rows; ++row) {
#pragma GCC unroll 2
    for (std::int64_t i = 0; i < vectors; ++i) *reinterpret_cast<Memory*>(spread[row] + i * width) = sums[row][i];
  }
  for (std::int64_t row = 0; row < count; ++row) {
    store_row<Lanes>(p, place.row + row, place.column, place.columns, spread[row]);
  }
}

/// All columns of some panels of rows.
template <class Lanes, std::int64_t panels, std::int64_t vectors>
[[gnu::always_inline]] inline std::int64_t multiply_rows(const PanelProduct& p, std::int64_t row, std::int64_t column) {
  constexpr std::int64_t wide = vectors * Lanes::width;
  for (; column + wide <= p.columns; column += wide) multiply_tile<Lanes, panels, vectors>(p, {row, column, wide});
  return column;
}

/// Rows outside: what is read from far away, the packed weights, is read once.
[[gnu::always_inline]] inline void multiply_narrow(const PanelProduct& p) {
  for (std::int64_t row = 0; row < p.rows; row += panel_rows) {
    const std::int64_t column = multiply_rows<Eight, 1, 2>(p, row, 0);
    const std::int64_t left = p.columns - column;
    if (left > 8) {
      multiply_tile<Eight, 1, 2>(p, {row, column, left});
    } else if (left > 0) {
      multiply_tile<Eight, 1, 1>(p, {row, column, left});
    }
  }
}

/// With 32 registers of 16 floats.
template <std::int64_t panels>
[[gnu::always_inline]] inline void multiply_wide_rows(const PanelProduct& p, std::int64_t row) {
  std::int64_t column = multiply_rows<Sixteen, panels, 2>(p, row, 0);
  column = multiply_rows<Sixteen, panels, 1>(p, row, column);
  const std::int64_t left = p.columns - column;
  if (left > 8) {
    multiply_tile<Sixteen, panels, 1>(p, {row, column, left});
  } else if (left > 0) {
    multiply_tile<Eight, panels, 1>(p, {row, column, left});
  }
}

[[gnu::always_inline]] inline void multiply_wide(const PanelProduct& p) {
  std::int64_t row = 0;
  for (; row + panel_rows < p.rows; row += 2 * panel_rows) multiply_wide_rows<2>(p, row);
  if (row < p.rows) multiply_wide_rows<1>(p, row);
}

COSOC_DISPATCH_WIDE(multiply_chosen, multiply_narrow, multiply_wide, const PanelProduct&)

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
