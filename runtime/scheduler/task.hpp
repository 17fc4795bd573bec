/// Tasks, the groups in which they succeed or fail together, and the
/// applications that they belong to.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "drivers/driver.hpp"
#include "kernels/kernel.hpp"
#include "policies/policy.hpp"
#include "scheduler/cost_row.hpp"
#include "trace/trace.hpp"

namespace cosoc {

class TaskGroup;
struct Task;

/// What calls of one kernel with one set of shapes have in common. Made once,
/// used by any number of tasks.
struct TaskTemplate {
  std::string name;  // in reports, traces and messages
  std::shared_ptr<const Kernel> kernel;
  std::shared_ptr<CostRow> costs;
  Time movement{};     // what moving its inputs between domains takes, see ReadyTask
  std::string reason;  // why no accelerator that it lists can run it; empty when one can
};

/// Who submits tasks. Priority first: ready tasks of higher priority are placed
/// and taken before others.
struct Application {
  std::uint64_t id = 0;  // never used again
  std::string name;
  std::int32_t priority = 0;
  double weight = 1.0;           // share of the SoC under the policy FAIR
  Time deadline = impossible;    // of each of its calls and runs, from its submission
  const Arena* arena = nullptr;  // of an application in another process: all that its calls may reach
};

/// Told about the end of one task, on a thread of the runtime that holds no
/// lock. It may submit tasks but must not wait for any, and it may destroy
/// itself.
class Completion {
 public:
  /// `awaited`: whether somebody waits for this very task. Others are run and told in batches.
  explicit Completion(bool awaited = true) : awaited_(awaited) {}
  virtual ~Completion() = default;
  bool awaited() const { return awaited_; }
  /// The task is not used any more when this returns. `status` is the group's
  /// when the task was not run because of it.
  virtual void complete(const Task& task, const Status& status) = 0;

 private:
  bool awaited_;
};

/// A submitted task, as long as it has not ended. Stays valid, and says
/// nothing, after that.
struct TaskHandle {
  Task* task = nullptr;
  std::uint64_t id = 0;
  const TaskGroup* group = nullptr;
  bool only_order = false;  // who follows it does not care whether it fails
};

/// What a task asks of the dispatcher itself, concerning its `planned_device`.
enum class DeviceOrder : std::uint8_t {
  none,    // a task as others
  remove,  // ends when the device has no work any more
  add,
  learn,  // that a call on its caller's thread took from `start` to `end` there
};

/// How a task came back from its device.
enum class Outcome : std::uint8_t {
  pending,
  done,
  failed,         // its kernel failed; `note` says why
  device_failed,  // the accelerator did; `note` says why
  refused,        // the accelerator cannot take it now; `note` says why
  cancelled,      // not run, because its group had failed
};

/// One call on its way. Made by the scheduler's pool or by a prepared run, and
/// used again and again.
struct Task {
  // What to run, and what the dispatcher asks for at every step: together, for the sake of caches. Everything that is
  // pointed to stays the submitter's, until the task has ended.
  const TaskTemplate* what = nullptr;
  TaskGroup* group = nullptr;
  Task* siblings = nullptr;                 // tasks of the same graph, which `successors` counts
  std::span<const std::size_t> successors;  // of the graph
  Time rank{};
  std::uint32_t missing = 0;  // tasks that have to end before
  std::uint32_t domain = 0;   // where its inputs lie
  std::uint32_t device = no_device;
  bool cpu_only = false;  // an accelerator failed with it
  bool pooled = false;
  DeviceOrder order_to_device = DeviceOrder::none;
  Outcome outcome = Outcome::pending;
  Task* next = nullptr;  // in whatever list it is

  std::span<const TensorView> inputs;
  std::span<const TensorView> outputs;
  Completion* completion = nullptr;
  std::uint32_t planned_device = no_device;  // of a static schedule
  std::uint32_t ready_count = 0;             // tasks among which the policy chose
  Time planned_start{};                      // in the static schedule
  Time order{};                              // see Assignment
  Time cost{};                               // expected on `device` when it was assigned
  std::atomic<std::uint64_t> id = 0;         // of the handle; 0 after the end
  std::vector<TaskHandle> after;             // tasks to wait for, besides those of the graph
  std::vector<Task*> waiting;                // tasks whose `after` has this one

  // What happened.
  Time submitted{};                         // only with a trace, as the next six
  Time ready{};                             // when it waited for nothing more
  std::uint64_t number = 0;                 // in the trace; 0 until it is named there
  std::vector<std::uint64_t> next_numbers;  // of those that waited for it
  bool unwritten = false;                   // it ran and ended, and is to be written when it is settled
  std::uint32_t queued = 0;                 // tasks before it in its device's queue
  Time expected_end{};
  Time start{};
  Time end{};
  CallCounters counters;
  std::string note;

  const Time* costs() const { return cpu_only ? what->costs->cpu().data() : what->costs->all().data(); }
  /// Why no accelerator ran it, and what went wrong.
  std::string reason() const;
  /// Forgets the last use; links of the graph stay.
  void reset();
};

/// Writes what happened to a task, which keeps its number and those of its successors.
void write(Trace& trace, const Task& task);

/// Tasks that succeed or fail together: a run of a graph, a call, or whatever
/// an application puts into one. When a task fails, those of its group that
/// have not started are cancelled; other groups go on.
class TaskGroup {
 public:
  explicit TaskGroup(std::shared_ptr<const Application> application) : application_(std::move(application)) {}
  TaskGroup(const TaskGroup&) = delete;
  TaskGroup& operator=(const TaskGroup&) = delete;

  const Application& application() const { return *application_; }
  /// Nothing that was submitted is on its way any more.
  bool ended() const { return pending.load(std::memory_order_acquire) == 0; }
  /// The first failure. Only when the group has ended.
  const Status& status() const { return status_; }
  /// Makes an ended group as good as new, with a deadline on the clock of the
  /// scheduler.
  void reset(Time deadline = impossible);
  Time deadline() const { return deadline_; }

  // For the scheduler.
  void fail(std::string message);
  bool failed() const { return !status_.has_value(); }
  std::atomic<std::uint32_t> pending = 0;

 private:
  std::shared_ptr<const Application> application_;
  Time deadline_ = impossible;
  Status status_;
};

}  // namespace cosoc
