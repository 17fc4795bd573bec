/// Sorting of many small keys, the greater part of a scheduling round.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace cosoc {

/// Sorts indices of `keys` by key, smallest first; equal keys keep the order that the indices have. Radix sort over
/// the bits in which the keys differ: time grows linearly with their number.
void sort_by_key(std::span<const std::uint64_t> keys, std::vector<std::uint32_t>& indices);

}  // namespace cosoc
