#include "device/cycles.hpp"

#include <algorithm>

namespace cosoc {
namespace {

/// Memory latency of the command's fetch, of its first load, of its last store and of its completion.
constexpr std::uint64_t bus_latency = 150;

constexpr std::uint64_t divide_up(std::uint64_t a, std::uint64_t b) { return (a + b - 1) / b; }

}  // namespace

std::uint64_t fft::command_cycles(const Config& config, const Command& command) {
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

std::uint64_t fft::queued_cycles(const Config&, const Command& command) {
  return std::uint64_t{command.frames} << command.log2_length;
}

std::uint64_t zip::command_cycles(const Config& config, const Command& command) {
  constexpr std::uint64_t core_latency = 38;
  return bus_latency + core_latency + queued_cycles(config, command);
}

std::uint64_t zip::queued_cycles(const Config& config, const Command& command) {
  // Both operands come through one read channel: two beats for two elements.
  const std::uint64_t beats = divide_up(command.length, 2);
  return beats * std::max<std::uint64_t>(2, 2 / config.lanes);
}

}  // namespace cosoc
