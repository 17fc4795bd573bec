/// Poolings of whole rows: windows of one shape, without positions of the largest elements.
#pragma once

#include <cstdint>

namespace cosoc::dense {

/// One row of outputs. The rows of the input under its windows become one row, with what lies outside; then the
/// elements of that one under each window become an output.
struct PoolRow {
  const float* in = nullptr;  // first row of the windows
  std::int64_t planes = 1, plane_step = 0;
  std::int64_t rows = 1, row_step = 0;
  std::int64_t columns = 0;  // of a row of the input
  std::int64_t padding = 0;  // columns before it
  std::int64_t kernel = 1, dilation = 1, stride = 1;
  bool max = true;
  const float* counts = nullptr;  // by output: elements of its window along the row; of averages
  float count = 1.0F;             // the same along the other axes
  std::int64_t outputs = 0;
  float* joined = nullptr;  // padded_columns() floats
  float* out = nullptr;

  std::int64_t padded_columns() const {
    const std::int64_t reached = (outputs - 1) * stride + (kernel - 1) * dilation + 1;
    return reached > padding + columns ? reached : padding + columns;
  }
};

void pool_row(const PoolRow& row);

}  // namespace cosoc::dense
