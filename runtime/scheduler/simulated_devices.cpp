#include "scheduler/simulated_devices.hpp"

#include <algorithm>
#include <utility>

#include "cost/cost.hpp"

namespace cosoc {
namespace {

/// Interrupts or steps in a row that may leave time and work where they were,
/// before the hardware counts as broken.
constexpr int max_idle_steps = 1000;

}  // namespace

SimulatedDevices::SimulatedDevices(SimulatedPlatform& platform, std::span<ComputeDevice> devices,
                                   Dispatcher& dispatcher, Values values, Time minimum_deadline)
    : platform_(platform),
      devices_(devices),
      dispatcher_(dispatcher),
      values_(values),
      minimum_deadline_(minimum_deadline),
      calls_(devices.size()) {}

void SimulatedDevices::start_tasks() {
  // A device that fails at once gives others work, so until nothing is left.
  bool progress = true;
  while (progress) {
    dispatcher_.schedule(now_);
    dispatcher_.write_round();
    progress = false;
    for (std::size_t device = 0; device < devices_.size(); ++device) {
      if (calls_[device].task != nullptr || !dispatcher_.has_work(device)) continue;
      start(device);
      progress = true;
    }
  }
}

bool SimulatedDevices::busy() const {
  return std::ranges::any_of(calls_, [](const Call& call) { return call.task != nullptr; });
}

void SimulatedDevices::step(Time limit) {
  for (const Call& call : calls_) {
    if (call.task != nullptr) limit = std::min(limit, call.end);
  }
  if (values_ == Values::computed) return step_platform(limit);
  now_ = limit;
  for (std::size_t device = 0; device < devices_.size(); ++device) handle_end(device);
}

void SimulatedDevices::start(std::size_t device) {
  Task& task = dispatcher_.start(device, now_);
  task.start = now_;
  calls_[device] = {.task = &task};
  if (!is_modelled(device)) return start_call(device);
  calls_[device].end = now_ + std::max(Time{1}, task.cost);
  task.outcome = Outcome::done;
  if (values_ == Values::none) return;
  if (auto done = task.what->kernel->run(task.inputs, task.outputs); !done) {
    task.outcome = Outcome::failed;
    task.note = done.error().message;
  }
}

void SimulatedDevices::start_call(std::size_t device) {
  Call& call = calls_[device];
  call.operands = std::make_unique<Staging>(platform_.memory());
  if (auto begun = call.operands->begin(*call.task); !begun) {
    call.task->note = begun.error().message;
    return finish(device, Outcome::refused);
  }
  call.operands->copy_in();
  const std::size_t bytes = call.operands->copied_bytes();
  if (bytes == 0) return attempt(device);
  // As if the results were copied before as well.
  call.copies = true;
  call.end = now_ + copy_cost(bytes);
}

void SimulatedDevices::attempt(std::size_t device) {
  Call& call = calls_[device];
  ++call.attempts;
  call.end = now_ + std::max(minimum_deadline_, call.task->cost * deadline_factor);
  const Kernel& kernel = call.task->what->kernel->on(devices_[device].kind);
  const auto started = devices_[device].driver->start(kernel, call.operands->inputs(), call.operands->outputs());
  if (started) return;
  // Nothing was submitted: the call does not fit, and the accelerator is as good as before.
  call.task->note = started.error().message;
  finish(device, Outcome::refused);
}

void SimulatedDevices::handle_failure(std::size_t device, const std::string& why) {
  Task& task = *calls_[device].task;
  if (auto done = devices_[device].driver->reset(); !done) {
    task.note = why + "; then its reset failed: " + done.error().message;
    calls_[device].operands->abandon();
  } else if (calls_[device].attempts == max_attempts) {
    task.note = why;
  } else {
    task.note = "second attempt after: " + why;
    return attempt(device);
  }
  finish(device, Outcome::device_failed);
}

void SimulatedDevices::finish(std::size_t device, Outcome outcome) {
  Task& task = *std::exchange(calls_[device].task, nullptr);
  if (const auto operands = std::exchange(calls_[device].operands, nullptr); operands && outcome == Outcome::done) {
    operands->copy_out();
  }
  task.outcome = outcome;
  task.end = now_;
  dispatcher_.finish(task);
}

void SimulatedDevices::step_platform(Time limit) {
  const auto interrupt = platform_.advance(limit);
  if (!interrupt) return stop("the simulation stopped: " + interrupt.error().message);
  bool progress = platform_.now() > now_;
  now_ = platform_.now();
  if (*interrupt) progress |= handle_interrupt(**interrupt);
  for (std::size_t device = 0; device < devices_.size(); ++device) progress |= handle_end(device);
  idle_steps_ = progress ? 0 : idle_steps_ + 1;
  if (idle_steps_ < max_idle_steps) return;
  stop(*interrupt ? "the interrupt line of accelerator " + std::to_string(**interrupt) +
                        " stays high although it was acknowledged and reset"
                  : "simulated time does not pass");
}

/// True when a task ended.
bool SimulatedDevices::handle_interrupt(std::size_t accelerator) {
  const auto found = std::ranges::find_if(
      devices_, [&](const ComputeDevice& device) { return !device.is_cpu() && device.accelerator == accelerator; });
  if (found == devices_.end()) return false;
  const auto device = static_cast<std::size_t>(found - devices_.begin());
  if (calls_[device].task != nullptr && !calls_[device].copies) return service(device, {});
  // Left over from an abandoned call. A failed reset shows in the steps without
  // progress.
  static_cast<void>(found->driver->reset());
  return false;
}

/// True when the task ended, or failed. `note` goes into its record when it
/// ended well.
bool SimulatedDevices::service(std::size_t device, const std::string& note) {
  Driver& driver = *devices_[device].driver;
  const auto ended = driver.service();
  if (!ended) {
    handle_failure(device, ended.error().message);
    return true;
  }
  if (!*ended) return false;
  calls_[device].task->counters = driver.counters();
  if (!note.empty()) calls_[device].task->note = note;
  finish(device, Outcome::done);
  return true;
}

/// Ends a modelled task at its time, and looks after an accelerator at its
/// deadline. True when something ended.
bool SimulatedDevices::handle_end(std::size_t device) {
  Call& call = calls_[device];
  if (call.task == nullptr || now_ < call.end) return false;
  if (call.copies) {
    call.copies = false;
    attempt(device);
    return true;
  }
  if (is_modelled(device)) {
    finish(device, call.task->outcome);
  } else if (!service(device, "its interrupt was lost; found complete at the deadline")) {
    handle_failure(device, "did not finish within its deadline");
  }
  return true;
}

/// Nothing can be carried out any more.
void SimulatedDevices::stop(const std::string& why) {
  dispatcher_.fail_all(why);
  for (std::size_t device = 0; device < devices_.size(); ++device) {
    if (calls_[device].task == nullptr) continue;
    if (!is_modelled(device)) static_cast<void>(devices_[device].driver->reset());
    calls_[device].task->note = why;
    finish(device, Outcome::failed);
  }
}

}  // namespace cosoc
