/// Elements that a tensor of positions names along one axis of another tensor.
#pragma once

#include <algorithm>

#include "kernels/check.hpp"
#include "kernels/dense/loops.hpp"

namespace cosoc::dense {

/// Checks that positions lie within the other axes of a tensor.
inline void check_along(TypeCheck& check, const TensorType& x, const TensorType& index, std::size_t axis) {
  check.dtype(index, DType::int64);
  check.rank(index, {x.shape.size()});
  check.require(axis < x.shape.size(), "axis " + std::to_string(axis) + " of " + x.describe());
  if (!check.good()) return;
  for (std::size_t i = 0; i < x.shape.size(); ++i) {
    check.require(i == axis || index.shape[i] <= x.shape[i], index.describe() + " is wider than " + x.describe());
  }
}

/// Calls `visit(at, i)`: element `at` of x belongs to element `i` of the index.
template <class Visit>
void for_each_along(const Shape& x, const Shape& index, std::size_t axis, const std::vector<std::int64_t>& positions,
                    const Visit& visit) {
  Loops<1> loops;
  loops.extents = index;
  loops.strides[0] = row_major(x);
  const std::int64_t step = loops.strides[0][axis];
  loops.strides[0][axis] = 0;
  std::size_t i = 0;
  const std::int64_t inner = loops.strides[0].back();
  loops.for_each_row([&](const std::array<std::int64_t, 1>& offsets, std::int64_t length) {
    for (std::int64_t j = 0; j < length; ++j, ++i) visit(offsets[0] + j * inner + positions[i] * step, i);
  });
}

}  // namespace cosoc::dense
