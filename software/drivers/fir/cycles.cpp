#include "drivers/fir/cycles.hpp"

#include "device/cycles.hpp"

namespace cosoc::fir {
namespace {

/// Taking a command, asking for transfers, and the first sample's way to the chain.
constexpr std::uint64_t core_latency = 11;
constexpr std::uint64_t product_latency = 11;
constexpr std::uint64_t add_latency = 5;

}  // namespace

std::uint64_t command_cycles(const Config& config, const Command& command) {
  const std::uint64_t chain = product_latency + add_latency * config.multipliers;
  return bus_latency + core_latency + command.taps + command.samples + chain;
}

std::uint64_t queued_cycles(const Config& config, const Command& command) {
  // The core executes one command after the other; only the next one's fetch is hidden.
  return command_cycles(config, command) - bus_latency / 3;
}

}  // namespace cosoc::fir
