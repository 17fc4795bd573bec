/// The float32 matrix product under convolutions: both operands packed in the order in which registers take them.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/dense/epilogue.hpp"

namespace cosoc::dense {

/// Rows and columns of c whose sums stay in registers.
inline constexpr std::int64_t panel_rows = 6;
inline constexpr std::int64_t panel_columns = 16;

constexpr std::int64_t whole_panels(std::int64_t count, std::int64_t of) { return (count + of - 1) / of; }

/// Floats of a matrix as panels of `panel_rows` rows; zeros stand for rows that are not there.
constexpr std::int64_t packed_floats(std::int64_t rows, std::int64_t depth) {
  return whole_panels(rows, panel_rows) * panel_rows * depth;
}

/// Where a row begins in it; its elements are `panel_rows` apart.
constexpr std::int64_t packed_row(std::int64_t row, std::int64_t depth) {
  return row / panel_rows * panel_rows * depth + row % panel_rows;
}

/// Row-major `a` (rows x depth) as panels: element (r, k) at [r / 6][k][r % 6].
void pack_rows(const float* a, std::int64_t rows, std::int64_t depth, float* packed);

/// c = a * b, or c += a * b. Columns of b come in panels of `panel_columns`, which are there as a whole.
struct PanelProduct {
  std::int64_t rows = 0;
  std::int64_t columns = 0;  // of c
  std::int64_t depth = 0;
  const float* a = nullptr;  // from `pack_rows`, at the first of the `depth` elements
  std::int64_t a_depth = 0;  // of the whole packed matrix
  const float* b = nullptr;  // element (k, c) at [c / 16 * b_panel + k * b_step + c % 16]
  std::int64_t b_panel = 0;
  std::int64_t b_step = panel_columns;
  float* c = nullptr;         // row-major
  std::int64_t c_stride = 0;  // floats
  bool accumulate = false;
  Epilogue epilogue{};  // of the results: a channel for every row, a residual laid out as c
};

void multiply(const PanelProduct& product);

}  // namespace cosoc::dense
