/// Models of accelerators behind threads: what a daemon without a board runs.
///
/// Whoever waits for an interrupt computes: results come as soon as they are ready, and timeouts are of the wall clock.
#pragma once

#include <memory>

#include "device/platform.hpp"

namespace cosoc::daemon {

/// Functional models, each computed by the thread that waits for it, side by side. A doorbell takes effect there, so
/// calls of drivers never take long.
Result<std::unique_ptr<WallClockPlatform>> make_concurrent_platform(const SoCDescription& soc);

/// A platform in simulated time, one thread at a time: the RTL of the SoC is one model.
std::unique_ptr<WallClockPlatform> make_stepped_platform(std::unique_ptr<SimulatedPlatform> simulated);

}  // namespace cosoc::daemon
