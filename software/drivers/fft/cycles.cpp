#include "drivers/fft/cycles.hpp"

#include "device/cycles.hpp"

namespace cosoc::fft {

std::uint64_t command_cycles(const Config& config, const Command& command) {
  constexpr std::uint64_t core_latency = 11;
  constexpr std::uint64_t add_latency = 6;
  constexpr std::uint64_t product_latency = 11;
  const std::uint64_t products = (command.log2_length - 1) / 2;
  const std::uint64_t delays = (std::uint64_t{1} << command.log2_length) - 1;
  const std::uint64_t pipeline = 7 + delays + command.log2_length * add_latency + products * product_latency;
  const std::uint64_t reorder = std::uint64_t{1} << command.log2_length >> 1;
  return bus_latency + core_latency + pipeline + reorder + queued_cycles(config, command);
}

std::uint64_t queued_cycles(const Config&, const Command& command) {
  return std::uint64_t{command.frames} << command.log2_length;
}

}  // namespace cosoc::fft
