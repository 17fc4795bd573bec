#include "kernels/dense/loops.hpp"

namespace cosoc::dense {

Shape row_major(const Shape& shape) {
  Shape strides(shape.size());
  std::int64_t step = 1;
  for (std::size_t axis = shape.size(); axis-- > 0;) {
    strides[axis] = step;
    step *= shape[axis];
  }
  return strides;
}

Shape broadcast_strides(const Shape& shape, const Shape& wide) {
  const Shape own = row_major(shape);
  Shape strides(wide.size());
  const std::size_t missing = wide.size() - shape.size();
  for (std::size_t axis = 0; axis < shape.size(); ++axis) {
    if (shape[axis] != 1) strides[missing + axis] = own[axis];
  }
  return strides;
}

bool broadcasts_to(const Shape& shape, const Shape& wide) {
  if (shape.size() > wide.size()) return false;
  const std::size_t missing = wide.size() - shape.size();
  for (std::size_t axis = 0; axis < shape.size(); ++axis) {
    if (shape[axis] != 1 && shape[axis] != wide[missing + axis]) return false;
  }
  return true;
}

AroundAxis around(const Shape& shape, std::size_t axis) {
  AroundAxis result;
  for (std::size_t i = 0; i < shape.size(); ++i) {
    (i < axis ? result.outer : i == axis ? result.length : result.inner) *= shape[i];
  }
  return result;
}

}  // namespace cosoc::dense
