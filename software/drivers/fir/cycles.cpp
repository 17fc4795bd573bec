#include "drivers/fir/cycles.hpp"

#include <algorithm>

namespace cosoc::fir {
namespace {

/// Enabled cycles from a sample to its sum, as in gateware/fir/chain.py.
constexpr std::uint64_t chain_latency(const Config& config) { return 12 + 6 * std::uint64_t{config.multipliers}; }

/// Taking a command, asking for transfers, loading taps, filtering, and until the chain is empty.
constexpr std::uint64_t core_cycles(const Config& config, const Command& command) {
  constexpr std::uint64_t around = 13;
  return around + command.taps + command.samples + chain_latency(config);
}

// What memory adds, from the RTL with a latency of 150 ns at 300 MHz.

/// From the request of the taps to the first one, and from the last result until it is stored.
constexpr std::uint64_t transfer_latency = 144;
/// The fetch of a command, and its completion; hidden when another command is executed meanwhile.
constexpr std::uint64_t fetch_latency = 74;

}  // namespace

std::uint64_t command_cycles(const Config& config, const Command& command) {
  return fetch_latency + transfer_latency + core_cycles(config, command);
}

std::uint64_t queued_cycles(const Config& config, const Command& command) {
  // Sums begin with what the command before stores, so it must be done.
  if (command.opcode == static_cast<std::uint8_t>(FIROperation::accumulate)) {
    return transfer_latency + core_cycles(config, command);
  }
  // Two commands pass in the time in which the taps of one stay in the chain.
  constexpr std::uint64_t between = 2;
  const std::uint64_t passing = std::uint64_t{command.taps} + command.samples;
  return std::max(between + passing, (passing + chain_latency(config) + between + 1) / 2);
}

}  // namespace cosoc::fir
