#include "scheduler/accelerator_call.hpp"

#include "scheduler/executor.hpp"
#include "scheduler/staging.hpp"

namespace cosoc {
namespace {

using Clock = std::chrono::steady_clock;

Status start(ComputeDevice& device, const Task& task, const Staging& operands, std::mutex& driver_mutex) {
  const std::lock_guard lock(driver_mutex);
  const Kernel& kernel = task.what->kernel->on(device.kind);
  const Arena* arena = task.group->application().arena;
  return device.driver->start(kernel, operands.inputs(), operands.outputs(), arena);
}

/// The end of a call that was started.
Result<CallCounters> finish(WallClockPlatform& platform, ComputeDevice& device, Task& task, Time deadline,
                            std::mutex& driver_mutex) {
  Driver& driver = *device.driver;
  const auto end = Clock::now() + deadline;
  while (true) {
    const auto left = std::chrono::duration_cast<Time>(end - Clock::now());
    const auto interrupt = platform.wait_interrupt(device.accelerator, std::max(Time{}, left));
    if (!interrupt) return tl::make_unexpected(interrupt.error());
    const std::lock_guard lock(driver_mutex);
    const auto ended = driver.service();
    if (!ended) return tl::make_unexpected(ended.error());
    if (*ended) {
      if (!*interrupt) task.note = "its interrupt was lost; found complete at the deadline";
      return driver.counters();
    }
    if (Clock::now() >= end) return failure("did not finish within its deadline");
  }
}

void run_staged(WallClockPlatform& platform, ComputeDevice& device, Task& task, Staging& operands, Time deadline,
                std::mutex& driver_mutex) {
  for (int count = 1;; ++count) {
    // Nothing was submitted: the call does not fit, in memory for one, and the accelerator is as good as before.
    if (auto started = start(device, task, operands, driver_mutex); !started) {
      task.outcome = Outcome::refused;
      task.note = started.error().message;
      return;
    }
    const auto counters = finish(platform, device, task, deadline, driver_mutex);
    if (counters) {
      task.outcome = Outcome::done;
      task.counters = *counters;
      return;
    }
    const std::string& why = counters.error().message;
    const std::lock_guard lock(driver_mutex);
    if (auto done = device.driver->reset(); !done) {
      task.note = why + "; then its reset failed: " + done.error().message;
      operands.abandon();
    } else if (count == max_attempts) {
      task.note = why;
    } else {
      task.note = "second attempt after: " + why;
      continue;
    }
    task.outcome = Outcome::device_failed;
    return;
  }
}

}  // namespace

void run_on_accelerator(WallClockPlatform& platform, ComputeDevice& device, Task& task, Time deadline,
                        std::mutex& driver_mutex) {
  // Declared before the operands, which it outlives.
  std::unique_lock lock(driver_mutex);
  Staging operands(platform.memory());
  if (auto begun = operands.begin(task); !begun) {
    task.outcome = Outcome::refused;
    task.note = begun.error().message;
    return;
  }
  lock.unlock();
  operands.copy_in();
  run_staged(platform, device, task, operands, deadline, driver_mutex);
  if (task.outcome == Outcome::done) operands.copy_out();
  lock.lock();
}

void run_remotely(Remote& remote, WallClockPlatform& platform, ComputeDevice& device, Task& task,
                  std::mutex& driver_mutex) {
  std::unique_lock lock(driver_mutex);
  Staging operands(platform.memory());
  const Status begun = operands.begin(task);
  lock.unlock();
  if (begun) {
    operands.copy_in();
    remote.run(device.accelerator, task.what->kernel->on(device.kind), operands.inputs(), operands.outputs(), task);
    if (task.outcome == Outcome::done) operands.copy_out();
  } else {
    task.outcome = Outcome::refused;
    task.note = begun.error().message;
  }
  lock.lock();
}

}  // namespace cosoc
