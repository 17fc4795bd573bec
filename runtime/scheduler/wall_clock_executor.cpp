#include <chrono>
#include <condition_variable>
#include <mutex>
#include <thread>
#include <vector>

#include "scheduler/executor.hpp"

namespace cosoc {
namespace {

using Clock = std::chrono::steady_clock;

class WallClockExecutor final : public Executor {
 public:
  WallClockExecutor(WallClockPlatform& platform, std::span<ComputeDevice> devices, Time minimum_deadline)
      : platform_(platform), devices_(devices), minimum_deadline_(minimum_deadline), wake_(devices.size()) {
    for (std::size_t device = 0; device < devices.size(); ++device) {
      threads_.emplace_back([this, device] { work(device); });
    }
  }

  ~WallClockExecutor() override {
    {
      const std::lock_guard lock(mutex_);
      stopping_ = true;
    }
    for (auto& condition : wake_) condition.notify_all();
    for (auto& thread : threads_) thread.join();
  }

  Time now() const override { return std::chrono::duration_cast<Time>(Clock::now() - opened_); }

  void run(Dispatcher& dispatcher) override {
    std::unique_lock lock(mutex_);
    dispatcher_ = &dispatcher;
    distribute();
    settled_.wait(lock, [&] { return dispatcher.settled(); });
    dispatcher_ = nullptr;
  }

 private:
  /// How a call on an accelerator ended.
  struct Outcome {
    Result<CallCounters> counters;
    std::string note;
    std::string trouble;  // of the reset after the last attempt
  };

  /// Schedules what is ready and wakes whoever has something to do. The mutex is held.
  void distribute() {
    dispatcher_->schedule(now());
    for (std::size_t device = 0; device < devices_.size(); ++device) {
      if (dispatcher_->has_work(device)) wake_[device].notify_one();
    }
    if (dispatcher_->settled()) settled_.notify_one();
  }

  /// A device's thread.
  void work(std::size_t device) {
    std::unique_lock lock(mutex_);
    while (true) {
      wake_[device].wait(lock, [&] { return stopping_ || (dispatcher_ != nullptr && dispatcher_->has_work(device)); });
      if (stopping_) return;
      Dispatcher& dispatcher = *dispatcher_;
      const std::size_t index = dispatcher.start(device, now());
      const Task& task = dispatcher.plan().tasks[index];
      const Time allowed = std::max(minimum_deadline_, dispatcher.cost(index, device) * deadline_factor);

      lock.unlock();
      const bool is_cpu = devices_[device].is_cpu();
      const Outcome outcome = is_cpu ? compute(task) : call(device, task, allowed);
      lock.lock();

      if (outcome.counters) {
        dispatcher.complete(device, now(), *outcome.counters, outcome.note);
      } else if (is_cpu) {
        dispatcher.fail("node " + task.name + " on " + devices_[device].name + ": " + outcome.counters.error().message);
        dispatcher.discard(device);
      } else {
        dispatcher.abandon(device, outcome.counters.error().message + outcome.trouble);
      }
      distribute();
    }
  }

  static Outcome compute(const Task& task) {
    if (auto done = task.kernel->run(task.inputs, task.outputs); !done)
      return {tl::make_unexpected(done.error()), {}, {}};
    return {CallCounters{}, {}, {}};
  }

  Outcome call(std::size_t device, const Task& task, Time allowed) {
    Outcome outcome{CallCounters{}, {}, {}};
    for (int attempt = 1; attempt <= max_attempts; ++attempt) {
      std::string note = outcome.note;
      outcome.counters = attempt_call(device, task, allowed, note);
      outcome.note = note;
      if (outcome.counters) break;
      const std::lock_guard lock(driver_mutex_);
      if (auto done = devices_[device].driver->reset(); !done) {
        outcome.trouble = "; then its reset failed: " + done.error().message;
        break;
      }
      outcome.note = "second attempt after: " + outcome.counters.error().message;
    }
    return outcome;
  }

  Result<CallCounters> attempt_call(std::size_t device, const Task& task, Time allowed, std::string& note) {
    Driver& driver = *devices_[device].driver;
    {
      const std::lock_guard lock(driver_mutex_);
      if (auto started = driver.start(*task.kernel, task.inputs, task.outputs); !started) {
        return tl::make_unexpected(started.error());
      }
    }
    const Time deadline = now() + allowed;
    while (true) {
      const auto interrupt = platform_.wait_interrupt(devices_[device].accelerator, std::max(Time{}, deadline - now()));
      if (!interrupt) return tl::make_unexpected(interrupt.error());
      const std::lock_guard lock(driver_mutex_);
      const auto ended = driver.service();
      if (!ended) return tl::make_unexpected(ended.error());
      if (*ended) {
        if (!*interrupt) note = "its interrupt was lost; found complete at the deadline";
        return driver.counters();
      }
      if (now() >= deadline) return failure("did not finish within its deadline");
    }
  }

  WallClockPlatform& platform_;
  std::span<ComputeDevice> devices_;
  const Time minimum_deadline_;
  const Clock::time_point opened_ = Clock::now();

  std::mutex mutex_;  // of everything below
  Dispatcher* dispatcher_ = nullptr;
  bool stopping_ = false;
  std::vector<std::condition_variable> wake_;  // by device
  std::condition_variable settled_;

  std::mutex driver_mutex_;  // drivers share the allocator of device memory; their calls are short
  std::vector<std::thread> threads_;
};

}  // namespace

std::unique_ptr<Executor> make_wall_clock_executor(WallClockPlatform& platform, std::span<ComputeDevice> devices,
                                                   Time minimum_deadline) {
  return std::make_unique<WallClockExecutor>(platform, devices, minimum_deadline);
}

}  // namespace cosoc
