/// Analytic durations of commands in clock cycles: what functional models take and what drivers estimate.
///
/// Each mirrors gateware/<module>/cycles.py, which the tests of the RTL check.
#pragma once

#include <cstdint>

#include "cosoc/generated/conv2d.hpp"
#include "cosoc/generated/fft.hpp"
#include "cosoc/generated/zip.hpp"

namespace cosoc {

namespace conv2d {
std::uint64_t command_cycles(const Config& config, const Command& command);
}
namespace fft {
std::uint64_t command_cycles(const Config& config, const Command& command);
}
namespace zip {
std::uint64_t command_cycles(const Config& config, const Command& command);
}

}  // namespace cosoc
