/// Positions that are values of a tensor: checked while they are read, negative ones from the end of the axis.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "kernels/tensor.hpp"

namespace cosoc::dense {

/// The positions of a tensor as they count from the start, or which one lies outside.
inline Result<std::vector<std::int64_t>> read_positions(std::string_view operation, const TensorView& index,
                                                        std::int64_t size) {
  const auto count = static_cast<std::size_t>(index.type->elements());
  const auto* given = index.as<std::int64_t>();
  std::vector<std::int64_t> positions(count);
  for (std::size_t i = 0; i < count; ++i) {
    if (given[i] < -size || given[i] >= size) {
      return failure(std::string(operation) + ": position " + std::to_string(given[i]) + " of an axis of " +
                     std::to_string(size) + " elements");
    }
    positions[i] = given[i] < 0 ? given[i] + size : given[i];
  }
  return positions;
}

}  // namespace cosoc::dense
