/// Analytic durations of commands in clock cycles: what functional models take and what drivers estimate.
///
/// The cores' parts are those of gateware/<module>/cycles.py, which the tests of the RTL check. What the bus adds is
/// here: all ports of an accelerator share one AXI4 manager, a beat per cycle and direction.
#pragma once

#include <cstdint>
#include <vector>

#include "cosoc/generated/fft.hpp"
#include "cosoc/generated/zip.hpp"

namespace cosoc {

/// A command that is refused: fetch, check and completion.
inline constexpr std::uint64_t refused_cycles = 100;

// `command_cycles`: a command on an idle accelerator, from its fetch to its completion.
// `queued_cycles`: what a command adds to a queue of commands like it.

namespace fft {
std::uint64_t command_cycles(const Config& config, const Command& command);
std::uint64_t queued_cycles(const Config& config, const Command& command);
}  // namespace fft
namespace zip {
std::uint64_t command_cycles(const Config& config, const Command& command);
std::uint64_t queued_cycles(const Config& config, const Command& command);
}  // namespace zip

/// A call's commands, submitted together; found by the accelerator's own functions above.
template <class Config, class Command>
std::uint64_t call_cycles(const Config& config, const std::vector<Command>& commands) {
  std::uint64_t cycles = 0;
  for (const Command& command : commands) {
    cycles += cycles == 0 ? command_cycles(config, command) : queued_cycles(config, command);
  }
  return cycles;
}

}  // namespace cosoc
