/// Executors carry tasks out: in simulated time, or on threads against the wall clock.
#pragma once

#include <memory>
#include <optional>
#include <span>

#include "device/platform.hpp"
#include "scheduler/compute_device.hpp"
#include "scheduler/dispatcher.hpp"

namespace cosoc {

/// A task on an accelerator that fails or hangs is tried this often before the accelerator is quarantined. A second
/// attempt is safe: inputs are never overwritten before their readers end.
inline constexpr int max_attempts = 2;
/// A task gets this many times its estimate, and at least the executor's minimum, before it counts as hung.
inline constexpr int deadline_factor = 100;

class Executor {
 public:
  Executor() = default;
  virtual ~Executor() = default;
  Executor(const Executor&) = delete;
  Executor& operator=(const Executor&) = delete;

  /// Since the executor was made.
  virtual Time now() const = 0;
  /// Runs until the dispatcher has settled.
  virtual void run(Dispatcher& dispatcher) = 0;
};

/// One thread, simulated time, the same result every time. CPU tasks compute at once on the host and occupy a modelled
/// core for their modelled time; accelerators take the time that the platform says.
std::unique_ptr<Executor> make_simulated_executor(SimulatedPlatform& platform, std::span<ComputeDevice> devices,
                                                  Time minimum_deadline);

/// One thread per device. A CPU core's thread computes; an accelerator's waits for the interrupt. Nobody spins.
std::unique_ptr<Executor> make_wall_clock_executor(WallClockPlatform& platform, std::span<ComputeDevice> devices,
                                                   Time minimum_deadline);

}  // namespace cosoc
