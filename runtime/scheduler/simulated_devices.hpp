/// The hardware of a simulated session and the tasks on it, without threads.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "scheduler/executor.hpp"
#include "scheduler/staging.hpp"

namespace cosoc {

/// Starts what the dispatcher has assigned, and lets time pass until something
/// happens.
class SimulatedDevices {
 public:
  SimulatedDevices(SimulatedPlatform& platform, std::span<ComputeDevice> devices, Dispatcher& dispatcher, Values values,
                   Time minimum_deadline);

  Time now() const { return now_; }
  void admit(Task& task) { dispatcher_.admit(task, now_); }
  /// Starts all that can be started.
  void start_tasks();
  /// Whether something will happen without new tasks.
  bool busy() const;
  /// Lets time pass, to `limit` at most, until something happens, and handles
  /// it.
  void step(Time limit);

 private:
  /// A task on a device.
  struct Call {
    Task* task = nullptr;
    Time end{};  // of a task that takes its modelled time; of one on an
                 // accelerator, its deadline
    int attempts = 0;
    bool copies = false;                     // operands, until `end`
    std::unique_ptr<Staging> operands = {};  // of a call of a driver
  };

  bool is_modelled(std::size_t device) const { return values_ == Values::none || devices_[device].is_cpu(); }
  void start(std::size_t device);
  void start_call(std::size_t device);
  void attempt(std::size_t device);
  void handle_failure(std::size_t device, const std::string& why);
  void finish(std::size_t device, Outcome outcome);
  void step_platform(Time limit);
  bool handle_interrupt(std::size_t accelerator);
  bool service(std::size_t device, const std::string& note);
  bool handle_end(std::size_t device);
  void stop(const std::string& why);

  SimulatedPlatform& platform_;
  std::span<ComputeDevice> devices_;
  Dispatcher& dispatcher_;
  const Values values_;
  const Time minimum_deadline_;
  std::vector<Call> calls_;  // by device
  Time now_{};
  int idle_steps_ = 0;
};

}  // namespace cosoc
