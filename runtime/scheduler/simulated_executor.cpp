#include <algorithm>
#include <vector>

#include "scheduler/executor.hpp"

namespace cosoc {
namespace {

/// Interrupts or steps in a row that may leave time and work where they were, before the hardware counts as broken.
constexpr int max_idle_steps = 1000;

class SimulatedExecutor final : public Executor {
 public:
  SimulatedExecutor(SimulatedPlatform& platform, std::span<ComputeDevice> devices, Time minimum_deadline)
      : platform_(platform), devices_(devices), minimum_deadline_(minimum_deadline), calls_(devices.size()) {}

  Time now() const override { return platform_.now(); }

  void run(Dispatcher& dispatcher) override {
    dispatcher_ = &dispatcher;
    while (dispatcher.status()) {
      dispatcher.schedule(now());
      start_tasks();
      if (dispatcher.settled()) break;
      step();
    }
    for (std::size_t device = 0; device < devices_.size(); ++device) stop(device);
  }

 private:
  /// A task on a device.
  struct Call {
    Time end{};  // of a CPU task; of an accelerator's, its deadline
    int attempts = 0;
    std::string note;
  };

  const Task& task_of(std::size_t device) const { return dispatcher_->plan().tasks[*dispatcher_->running(device)]; }

  void start_tasks() {
    // Abandoning a device while it starts gives others work, so until nothing is left.
    bool progress = true;
    while (progress) {
      progress = false;
      for (std::size_t device = 0; device < devices_.size(); ++device) {
        if (!dispatcher_->has_work(device)) continue;
        const std::size_t task = dispatcher_->start(device, now());
        calls_[device] = {};
        devices_[device].is_cpu() ? compute(device, task) : attempt(device);
        progress = true;
      }
      dispatcher_->schedule(now());
    }
  }

  void compute(std::size_t device, std::size_t index) {
    const Task& task = dispatcher_->plan().tasks[index];
    if (auto done = task.kernel->run(task.inputs, task.outputs); !done) {
      dispatcher_->fail("node " + task.name + " on " + devices_[device].name + ": " + done.error().message);
    }
    calls_[device].end = now() + std::max(Time{1}, dispatcher_->cost(index, device));
  }

  void attempt(std::size_t device) {
    const Task& task = task_of(device);
    Call& call = calls_[device];
    ++call.attempts;
    const Time estimate = dispatcher_->cost(*dispatcher_->running(device), device);
    call.end = now() + std::max(minimum_deadline_, estimate * deadline_factor);
    if (auto started = devices_[device].driver->start(*task.kernel, task.inputs, task.outputs); !started) {
      handle_failure(device, started.error().message);
    }
  }

  void handle_failure(std::size_t device, const std::string& why) {
    Call& call = calls_[device];
    if (auto done = devices_[device].driver->reset(); !done) {
      dispatcher_->abandon(device, why + "; then its reset failed: " + done.error().message);
    } else if (call.attempts == max_attempts) {
      dispatcher_->abandon(device, why);
    } else {
      call.note = "second attempt after: " + why;
      attempt(device);
    }
  }

  /// Lets time pass until something happens, and handles it.
  void step() {
    Time limit = Time::max();
    for (std::size_t device = 0; device < devices_.size(); ++device) {
      if (dispatcher_->running(device)) limit = std::min(limit, calls_[device].end);
    }
    const Time before = now();
    const auto interrupt = platform_.advance(limit);
    if (!interrupt) return dispatcher_->fail("the simulation stopped: " + interrupt.error().message);
    bool progress = now() > before;
    if (*interrupt) progress |= handle_interrupt(**interrupt);
    for (std::size_t device = 0; device < devices_.size(); ++device) progress |= handle_end(device);
    idle_steps_ = progress ? 0 : idle_steps_ + 1;
    if (idle_steps_ == max_idle_steps) {
      dispatcher_->fail(*interrupt ? "the interrupt line of accelerator " + std::to_string(**interrupt) +
                                         " stays high although it was acknowledged and reset"
                                   : "simulated time does not pass");
    }
  }

  /// True when a task ended.
  bool handle_interrupt(std::size_t accelerator) {
    const auto found = std::ranges::find_if(
        devices_, [&](const ComputeDevice& device) { return !device.is_cpu() && device.accelerator == accelerator; });
    if (found == devices_.end()) return false;
    const auto device = static_cast<std::size_t>(found - devices_.begin());
    if (!dispatcher_->running(device)) {
      // Left over from an abandoned call. A failed reset shows in the steps without progress.
      static_cast<void>(found->driver->reset());
      return false;
    }
    return service(device, calls_[device].note);
  }

  bool service(std::size_t device, const std::string& note) {
    Driver& driver = *devices_[device].driver;
    const auto ended = driver.service();
    if (!ended) {
      handle_failure(device, ended.error().message);
      return true;
    }
    if (*ended) dispatcher_->complete(device, now(), driver.counters(), note);
    return *ended;
  }

  /// Ends a CPU task at its time, and looks after an accelerator at its deadline. True when something ended.
  bool handle_end(std::size_t device) {
    if (!dispatcher_->running(device) || now() < calls_[device].end) return false;
    if (devices_[device].is_cpu()) {
      dispatcher_->complete(device, now(), {}, "");
    } else if (!service(device, "its interrupt was lost; found complete at the deadline")) {
      handle_failure(device, "did not finish within its deadline");
    }
    return true;
  }

  void stop(std::size_t device) {
    if (!dispatcher_->running(device)) return;
    if (!devices_[device].is_cpu()) {
      if (auto done = devices_[device].driver->reset(); !done) devices_[device].quarantine = done.error().message;
    }
    dispatcher_->discard(device);
  }

  SimulatedPlatform& platform_;
  std::span<ComputeDevice> devices_;
  Time minimum_deadline_;
  std::vector<Call> calls_;
  Dispatcher* dispatcher_ = nullptr;
  int idle_steps_ = 0;
};

}  // namespace

std::unique_ptr<Executor> make_simulated_executor(SimulatedPlatform& platform, std::span<ComputeDevice> devices,
                                                  Time minimum_deadline) {
  return std::make_unique<SimulatedExecutor>(platform, devices, minimum_deadline);
}

}  // namespace cosoc
