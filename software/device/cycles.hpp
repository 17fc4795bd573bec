/// What the analytic durations of commands share: clock cycles of what all accelerators have.
///
/// An accelerator's own part is in drivers/<module>/cycles.hpp, the core's of which the tests of the RTL check against
/// gateware/<module>/cycles.py. All ports of an accelerator share one AXI4 manager, a beat per cycle and direction.
#pragma once

#include <cstdint>
#include <vector>

namespace cosoc {

/// A command that is refused: fetch, check and completion.
inline constexpr std::uint64_t refused_cycles = 100;

/// Memory latency of the command's fetch, of its first load, of its last store and of its completion.
inline constexpr std::uint64_t bus_latency = 150;

/// A call's commands, submitted together. Of an accelerator with configuration `Config`, the namespace of `Config` has
/// `command_cycles`, a command on an idle accelerator from its fetch to its completion, and `queued_cycles`, what a
/// command adds to a queue of commands like it.
template <class Config, class Command>
std::uint64_t call_cycles(const Config& config, const std::vector<Command>& commands) {
  std::uint64_t cycles = 0;
  for (const Command& command : commands) {
    cycles += cycles == 0 ? command_cycles(config, command) : queued_cycles(config, command);
  }
  return cycles;
}

}  // namespace cosoc
