/// The scheduler: takes the tasks of any number of applications, at any time,
/// and runs them on one SoC.
#pragma once

#include <atomic>
#include <memory>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "scheduler/executor.hpp"
#include "scheduler/task_pool.hpp"

namespace cosoc {

using AnyPlatform = std::variant<std::unique_ptr<WallClockPlatform>, std::unique_ptr<SimulatedPlatform>>;

struct SchedulerOptions {
  Policy policy;
  std::uint64_t seed = 1;  // of the policy
  Values values = Values::computed;
  Time minimum_deadline{};  // least time for a task on an accelerator before it
                            // counts as hung
};

struct ApplicationOptions {
  std::string name = "application";
  std::int32_t priority = 0;
  double weight = 1.0;
  Time deadline = impossible;    // as Application's
  const Arena* arena = nullptr;  // see Application
};

/// One for each session, alive as long. Every function may be called from any
/// thread at any time, also while tasks run.
///
/// Tasks are calls of kernels; they wait for those that they are told to
/// follow, and belong to a group that can be waited for. The objects that a
/// task refers to (template, views, group, completion) stay the caller's until
/// it ended.
class Scheduler {
 public:
  /// Platform, devices, trace and what is learned (which may be null) outlive it.
  Scheduler(SchedulerOptions options, AnyPlatform& platform, std::span<ComputeDevice> devices, Trace* trace,
            CostModel* learned = nullptr);
  /// All groups have ended.
  ~Scheduler();

  /// Errors: a weight or a deadline that is not above 0.
  Result<std::shared_ptr<const Application>> add_application(const ApplicationOptions& options);

  /// Submits a call that starts when all of `after` have ended. One of them
  /// that fails from now on fails this group too. `completion` may be null.
  TaskHandle submit(TaskGroup& group, const TaskTemplate& what, std::span<const TensorView> inputs,
                    std::span<const TensorView> outputs, std::span<const TaskHandle> after = {},
                    Completion* completion = nullptr);
  /// Submits prepared tasks of one group at once; `roots` wait for nothing, and
  /// the others, which they lead to, for their counts in `missing`.
  void submit(TaskGroup& group, std::span<Task* const> roots, std::size_t count);
  /// Makes an ended group as good as new, with its application's deadline from now on.
  void begin(TaskGroup& group) const { group.reset(end_of(group.application())); }
  /// Blocks until nothing of the group is on its way.
  const Status& wait(TaskGroup& group);
  /// A call from start to end. When a CPU core is idle and no device is faster,
  /// the calling thread runs it in place of that core's.
  Status call(const std::shared_ptr<const Application>& application, const TaskTemplate& what,
              std::span<const TensorView> inputs, std::span<const TensorView> outputs);

  /// Blocks until the device has no work any more; it gets none until it is added.
  Status remove_device(std::size_t device) { return order(DeviceOrder::remove, device); }
  /// Resets its driver. Fails when it works already, or does not come out of its reset as what it was.
  Status add_device(std::size_t device) { return order(DeviceOrder::add, device); }
  DeviceStatus status(std::size_t device) const { return dispatcher_.status(device); }

  /// Since the scheduler was made; simulated, or of the wall clock.
  Time now() const { return executor_->now(); }
  void sleep_until(Time time) { executor_->sleep_until(time); }
  /// Devices that failed and get no more work, each with the reason.
  std::vector<std::string> quarantined() const { return dispatcher_.quarantined(); }
  /// Keeps the scheduler away from drivers while the caller asks them
  /// something.
  std::unique_lock<std::mutex> lock_drivers() { return executor_->lock_drivers(); }
  const std::string& policy() const { return policy_; }
  bool is_static() const { return is_static_; }
  Values values() const { return values_; }
  bool is_traced() const { return trace_ != nullptr; }

 private:
  friend class ApplicationThread;
  void settle(Task* ended);
  /// When a call that is submitted now should have ended.
  Time end_of(const Application& application) const {
    return application.deadline >= impossible ? impossible : now() + application.deadline;
  }
  Status order(DeviceOrder order, std::size_t device);
  void record(const Application& application, const TaskTemplate& what, const LentCall& call);
  void learn(const TaskTemplate& what, const LentCall& call);

  std::string policy_;
  bool is_static_;
  Values values_;
  Trace* trace_;
  std::atomic<std::uint64_t> last_application_ = 0;
  TaskPool pool_;
  Dispatcher dispatcher_;
  std::shared_ptr<const Application> orders_;  // whom orders to devices belong to
  std::unique_ptr<Executor> executor_;         // last: its threads end first
};

/// While it lives, simulated time waits for the calling thread, see
/// `Executor::enter`.
class ApplicationThread {
 public:
  explicit ApplicationThread(Scheduler& scheduler) : executor_(*scheduler.executor_) { executor_.enter(); }
  ~ApplicationThread() { executor_.leave(); }
  ApplicationThread(const ApplicationThread&) = delete;
  ApplicationThread& operator=(const ApplicationThread&) = delete;

 private:
  Executor& executor_;
};

}  // namespace cosoc
