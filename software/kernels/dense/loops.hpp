/// Nested loops over the elements of dense tensors, with as few axes as the strides allow.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "kernels/tensor.hpp"

namespace cosoc::dense {

using Shape = std::vector<std::int64_t>;

/// Strides, in elements, of a row-major tensor.
Shape row_major(const Shape& shape);
/// Strides with which a tensor of `shape` repeats over `wide`: 0 along axes where it has one element or none.
Shape broadcast_strides(const Shape& shape, const Shape& wide);
/// Whether a tensor of `shape` repeats over `wide` by PyTorch's rules.
bool broadcasts_to(const Shape& shape, const Shape& wide);

/// Loops over one extent per axis, with the strides of `operands` tensors.
template <std::size_t operands>
struct Loops {
  Shape extents;                               // outermost first, at least one
  std::array<Shape, operands> strides;         // in elements, as many as extents
  std::array<std::int64_t, operands> first{};  // offset of the first element

  /// Axes of one element vanish, and neighbouring axes that all operands walk in one go become one.
  void collapse();

  /// Calls `row(offsets, length)` for every run along the innermost axis; the operands' steps there are
  /// `strides[i].back()`.
  template <class Row>
  void for_each_row(const Row& row) const {
    const std::size_t outer = extents.size() - 1;
    std::array<std::int64_t, operands> offsets = first;
    Shape position(outer);
    while (true) {
      row(offsets, extents[outer]);
      std::size_t axis = outer;
      while (axis-- > 0) {
        for (std::size_t i = 0; i < operands; ++i) offsets[i] += strides[i][axis];
        if (++position[axis] < extents[axis]) break;
        for (std::size_t i = 0; i < operands; ++i) offsets[i] -= extents[axis] * strides[i][axis];
        position[axis] = 0;
      }
      if (axis == static_cast<std::size_t>(-1)) return;
    }
  }
};

template <std::size_t operands>
void Loops<operands>::collapse() {
  Shape merged;
  std::array<Shape, operands> steps;
  for (std::size_t axis = 0; axis < extents.size(); ++axis) {
    if (extents[axis] == 1) continue;
    bool joins = !merged.empty();
    for (std::size_t i = 0; joins && i < operands; ++i) {
      joins = steps[i].back() == strides[i][axis] * extents[axis];
    }
    if (joins) {
      merged.back() *= extents[axis];
      for (std::size_t i = 0; i < operands; ++i) steps[i].back() = strides[i][axis];
    } else {
      merged.push_back(extents[axis]);
      for (std::size_t i = 0; i < operands; ++i) steps[i].push_back(strides[i][axis]);
    }
  }
  if (merged.empty()) {
    merged.push_back(1);
    for (Shape& step : steps) step.push_back(1);
  }
  extents = std::move(merged);
  strides = std::move(steps);
}

/// Loops over an output and the inputs that repeat over it; the output is operand 0.
template <std::size_t operands>
Loops<operands> broadcast_loops(const Shape& output, const std::array<const Shape*, operands - 1>& inputs) {
  Loops<operands> loops;
  loops.extents = output;
  loops.strides[0] = row_major(output);
  for (std::size_t i = 1; i < operands; ++i) loops.strides[i] = broadcast_strides(*inputs[i - 1], output);
  loops.collapse();
  return loops;
}

/// Elements before an axis, along it, and behind it: any axis of a row-major tensor as the middle one of three.
struct AroundAxis {
  std::int64_t outer = 1;
  std::int64_t length = 1;
  std::int64_t inner = 1;
};
AroundAxis around(const Shape& shape, std::size_t axis);

}  // namespace cosoc::dense
