/// A call on an accelerator against the wall clock, with its second attempt.
#pragma once

#include <chrono>
#include <mutex>

#include "scheduler/compute_device.hpp"
#include "scheduler/remote.hpp"
#include "scheduler/task.hpp"

namespace cosoc {

/// Runs the task on the calling thread's accelerator until it has ended, or
/// failed for good: outcome, counters and note are set. Sleeps until
/// interrupts; calls of drivers are made under `driver_mutex`.
void run_on_accelerator(WallClockPlatform& platform, ComputeDevice& device, Task& task, Time deadline,
                        std::mutex& driver_mutex);

/// The same on an accelerator of a daemon.
void run_remotely(Remote& remote, WallClockPlatform& platform, ComputeDevice& device, Task& task,
                  std::mutex& driver_mutex);

}  // namespace cosoc
