/// Which tasks wait, are ready, queued and running. It knows no clock and no
/// threads.
#pragma once

#include <cstddef>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "cosoc/session.hpp"
#include "scheduler/compute_device.hpp"
#include "scheduler/device_queue.hpp"
#include "scheduler/task.hpp"
#include "trace/trace.hpp"

namespace cosoc {

/// Moves the tasks of all applications from their submission over a policy's
/// decision to a device's queue, and on to the trace and to whoever waits for
/// them. Executors call it, one thread at a time.
class Dispatcher {
 public:
  /// `trace` may be null, and `learned`, which takes what tasks are measured to need.
  Dispatcher(Policy policy, std::uint64_t seed, std::span<const ComputeDevice> devices, Trace* trace,
             CostModel* learned);

  /// Takes a task that was submitted. One with an order to a device is carried out at once; it resets the driver of a
  /// device that is added.
  void admit(Task& task, Time now);
  /// Lets the policy assign what is ready.
  void schedule(Time now);
  /// Writes that decision to the trace, if there is one: after devices have been given what it is about.
  void write_round();

  /// Whether the device's queue has something to start.
  bool has_work(std::size_t device);
  /// Takes the next task of a device's queue. More than one may run there, one
  /// after the other.
  Task& start(std::size_t device, Time now);
  std::size_t running(std::size_t device) const { return states_[device].running; }

  /// A started task came back: its outcome, times, counters and note are set.
  void finish(Task& task);
  /// All tasks on their way fail: what carries them out does not work any more.
  /// Those that run have to come back.
  void fail_all(const std::string& message);

  /// Whether the daemon, whose device this is, has none for us just now; what waits for it is placed anew.
  void set_absent(std::size_t device, bool absent);

  /// Tasks that have ended since the last call, linked by `next`.
  Task* take_ended();
  /// Devices that failed and get no more work, each with the reason. From any
  /// thread.
  std::vector<std::string> quarantined() const;
  /// From any thread.
  DeviceStatus status(std::size_t device) const;

 private:
  struct State {
    DeviceQueue queue;
    Time queued{};      // expected time of what is in the queue
    Time busy_until{};  // expected, of what runs
    Time running_order = impossible;
    std::size_t running = 0;
    DeviceStatus status;      // changed under the mutex, as `absent`
    bool absent = false;      // at the daemon
    Task* leaving = nullptr;  // orders that end when nothing runs any more

    bool usable() const { return status.condition == DeviceCondition::working && !absent; }
  };

  void make_ready(Task& task);
  void end(Task& task);
  static bool needs(const Task& task, const Task& before);
  void collect_round(Time now);
  void assign(const Assignment& assignment);
  void keep_unassigned();
  void carry_out(Task& order);
  Status add(std::size_t device);
  void withdraw(std::size_t device, DeviceCondition condition, const std::string& why);
  void place_anew(std::size_t device);
  void end_orders(std::size_t device);
  void learn(const Task& task);
  bool is_possible(const Task& task) const;
  std::string without_device(const Task& task) const;
  void decide(Time now);
  void number(Task& task);

  Policy policy_;
  PolicyState policy_state_;
  std::span<const ComputeDevice> devices_;
  Trace* trace_;
  CostModel* learned_;
  CostClasses classes_;
  Time now_{};          // of what is being worked off
  std::string broken_;  // why nothing can be carried out any more
  std::vector<State> states_;
  std::vector<Task*> ready_;  // in the order in which they became ready
  bool priorities_differ_ = false;
  Task* ended_ = nullptr;
  Task** ended_end_ = &ended_;
  std::vector<Task*> ending_;  // scratch of `end`
  // Scratch of a round, kept for its memory.
  std::vector<ReadyTask> round_tasks_;
  std::vector<DeviceState> round_devices_;
  std::vector<Assignment> assignments_;
  std::optional<RoundEvent> round_;  // to be written, with the queues' sizes
  std::vector<std::size_t> queue_sizes_;

  mutable std::mutex status_mutex_;
};

}  // namespace cosoc
