/// The float32 matrix product under linear layers, attention and convolutions.
#pragma once

#include <cstdint>

namespace cosoc::dense {

/// c = a * b, with sums of another matrix's rows or columns added. Row-major; strides in elements from row to row.
struct Product {
  std::int64_t rows = 0;
  std::int64_t columns = 0;
  std::int64_t depth = 0;
  const float* a = nullptr;  // rows x depth
  std::int64_t a_stride = 0;
  const float* b = nullptr;  // depth x columns, transposed columns x depth
  std::int64_t b_stride = 0;
  bool b_transposed = false;
  const float* column_bias = nullptr;  // one number for each column, or none
  const float* row_bias = nullptr;     // one number for each row, or none
  float* c = nullptr;                  // rows x columns; must not overlap a and b
  std::int64_t c_stride = 0;
};

void multiply(const Product& product);

}  // namespace cosoc::dense
