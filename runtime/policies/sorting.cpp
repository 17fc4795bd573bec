#include "policies/sorting.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <utility>

namespace cosoc {
namespace {

constexpr int digit_bits = 11;
/// Below this, comparing costs less than counting.
constexpr std::size_t few = 64;

}  // namespace

void sort_by_key(std::span<const std::uint64_t> keys, std::vector<std::uint32_t>& indices) {
  if (indices.size() < few) {
    std::ranges::stable_sort(indices, {}, [&](std::uint32_t index) { return keys[index]; });
    return;
  }
  std::uint64_t differing = 0;
  for (const std::uint32_t index : indices) differing |= keys[index] ^ keys[indices.front()];
  std::vector<std::uint32_t> sorted(indices.size());
  std::array<std::uint32_t, std::size_t{1} << digit_bits> starts;
  int shift = std::countr_zero(differing);
  while (shift < 64 && (differing >> shift) != 0) {
    const auto digit = [&](std::uint32_t index) { return (keys[index] >> shift) % starts.size(); };
    starts.fill(0);
    for (const std::uint32_t index : indices) ++starts[digit(index)];
    std::uint32_t sum = 0;
    for (std::uint32_t& start : starts) sum += std::exchange(start, sum);
    for (const std::uint32_t index : indices) sorted[starts[digit(index)]++] = index;
    indices.swap(sorted);
    shift += digit_bits;
  }
}

}  // namespace cosoc
