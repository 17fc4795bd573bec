#include "drivers/fir/cycles.hpp"

namespace cosoc::fir {
namespace {

constexpr std::uint64_t product_latency = 11;
constexpr std::uint64_t add_latency = 5;

/// Taking a command, asking for transfers, loading taps, filtering, and until the chain is empty.
constexpr std::uint64_t core_cycles(const Config& config, const Command& command) {
  constexpr std::uint64_t around = 11;
  return around + command.taps + command.samples + product_latency + add_latency * config.multipliers;
}

// What memory adds, from the RTL with a latency of 150 ns at 300 MHz.

/// From the request of the taps to the first one, and from the last result until it is stored.
constexpr std::uint64_t transfer_latency = 148;
/// The fetch of a command, and its completion; hidden when another command is executed meanwhile.
constexpr std::uint64_t fetch_latency = 74;

}  // namespace

std::uint64_t command_cycles(const Config& config, const Command& command) {
  return fetch_latency + queued_cycles(config, command);
}

std::uint64_t queued_cycles(const Config& config, const Command& command) {
  // The core executes one command after the other.
  return transfer_latency + core_cycles(config, command);
}

}  // namespace cosoc::fir
