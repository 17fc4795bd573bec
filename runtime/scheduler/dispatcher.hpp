/// State of one run: which tasks are ready, queued, running and done. It knows no clock and no threads.
#pragma once

#include <cstddef>
#include <deque>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "cosoc/session.hpp"
#include "policies/policy.hpp"
#include "scheduler/plan.hpp"
#include "trace/trace.hpp"

namespace cosoc {

/// Moves the tasks of a plan from ready over a policy's decision to a device's queue, and on to the report and the
/// trace. Executors call it; when they have threads, under one mutex.
class Dispatcher {
 public:
  /// `state` is the policy's, kept from run to run; `trace` may be null. `now` begins the run.
  Dispatcher(const Plan& plan, const Policy& policy, PolicyState& state, std::span<ComputeDevice> devices, Trace* trace,
             Time now);

  /// Lets the policy assign all ready tasks.
  void schedule(Time now);

  /// Whether the device is idle, has something in its queue, and the run goes on.
  bool has_work(std::size_t device) const;
  /// Takes the next task of an idle device's queue: the task's index.
  std::size_t start(std::size_t device, Time now);
  /// The task of this device ended well. `note` goes into the record.
  void complete(std::size_t device, Time now, const CallCounters& counters, const std::string& note);
  /// The accelerator failed: it is quarantined, its task will run on a CPU, and what waits in its queue elsewhere.
  void abandon(std::size_t device, const std::string& why);
  /// The task of this device, or what carries it out, failed for good: nothing more is started.
  void fail(const std::string& message);
  /// The device's task will not end: after `fail` only.
  void discard(std::size_t device) { states_[device].running.reset(); }

  std::optional<std::size_t> running(std::size_t device) const { return states_[device].running; }
  /// Nothing runs and nothing more will.
  bool settled() const;
  const Status& status() const { return status_; }

  const Plan& plan() const { return plan_; }
  /// Expected time of a task on a device that may run it.
  Time cost(std::size_t task, std::size_t device) const { return costs_.at(task, device).value_or(Time{}); }
  RunReport take_report(Time now, const DeviceMemory& memory);

 private:
  struct State {
    std::deque<std::size_t> queue;
    std::optional<std::size_t> running;
    Time started{};
  };
  /// What was decided about a task.
  struct Note {
    std::size_t ready = 0;
    Time expected_end{};
    std::string trouble;
  };

  std::vector<DeviceState> device_states(Time now) const;
  std::string without_device(std::size_t task) const;

  const Plan& plan_;
  const Policy& policy_;
  PolicyState& policy_state_;
  std::span<ComputeDevice> devices_;
  Trace* trace_;
  CostTable costs_;
  std::vector<State> states_;
  std::vector<std::size_t> missing_;  // by task: inputs not made yet
  std::vector<std::size_t> ready_;    // in the order in which they became ready
  std::vector<Note> notes_;           // by task
  std::size_t done_ = 0;
  RunReport report_;
  Status status_;
};

}  // namespace cosoc
