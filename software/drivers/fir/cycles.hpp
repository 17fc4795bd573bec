/// Analytic durations of FIR commands in clock cycles: what the functional model takes and what the driver estimates.
#pragma once

#include <cstdint>

#include "cosoc/generated/fir.hpp"

namespace cosoc::fir {

/// A command on an idle accelerator, from its fetch to its completion.
std::uint64_t command_cycles(const Config& config, const Command& command);

/// What a command adds to a queue of commands like it.
std::uint64_t queued_cycles(const Config& config, const Command& command);

}  // namespace cosoc::fir
