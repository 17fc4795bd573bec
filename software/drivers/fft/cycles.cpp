#include "drivers/fft/cycles.hpp"

#include <algorithm>

#include "device/cycles.hpp"

namespace cosoc::fft {

std::uint64_t command_cycles(const Config& config, const Command& command) {
  constexpr std::uint64_t core_latency = 11;
  constexpr std::uint64_t add_latency = 5;
  constexpr std::uint64_t product_latency = 10;
  std::uint64_t pipeline = 6;
  for (std::uint64_t half = std::uint64_t{1} << command.log2_length >> 1; half > 0; half /= 2) {
    pipeline += add_latency + std::max(half, product_latency);
  }
  const std::uint64_t reorder = std::uint64_t{1} << command.log2_length >> 1;
  return bus_latency + core_latency + pipeline + reorder + queued_cycles(config, command);
}

std::uint64_t queued_cycles(const Config&, const Command& command) {
  return std::uint64_t{command.frames} << command.log2_length;
}

}  // namespace cosoc::fft
