#include "drivers/conv2d/estimator.hpp"

#include <string_view>

namespace cosoc::conv2d {

double Estimator::cycles(std::span<const std::uint32_t> program, double limit) {
  const auto bytes = std::as_bytes(program);
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  Found& found = found_[std::hash<std::string_view>{}(text)];
  if (found.exact || found.cycles >= limit) return found.cycles;
  found.cycles = schedule(config_, program, memory_latency_, limit).cycles;
  found.exact = found.cycles < limit;
  return found.cycles;
}

}  // namespace cosoc::conv2d
