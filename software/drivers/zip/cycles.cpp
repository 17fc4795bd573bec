#include "drivers/zip/cycles.hpp"

#include <algorithm>

#include "device/cycles.hpp"

namespace cosoc::zip {

std::uint64_t command_cycles(const Config& config, const Command& command) {
  constexpr std::uint64_t core_latency = 38;
  return bus_latency + core_latency + queued_cycles(config, command);
}

std::uint64_t queued_cycles(const Config& config, const Command& command) {
  // Both operands come through one read channel: two beats for two elements.
  const std::uint64_t beats = (std::uint64_t{command.length} + 1) / 2;
  return beats * std::max<std::uint64_t>(2, 2 / config.lanes);
}

}  // namespace cosoc::zip
