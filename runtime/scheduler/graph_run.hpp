/// A plan's tasks on their way: made once, run again and again.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "cosoc/session.hpp"
#include "scheduler/plan_schedule.hpp"
#include "scheduler/scheduler.hpp"

namespace cosoc {

/// One run at a time. The plan lives as long; nothing is allocated for a run.
class GraphRun {
 public:
  /// Under a static policy this schedules the graph.
  GraphRun(const Plan& plan, std::shared_ptr<const Application> application, Scheduler& scheduler,
           std::span<const ComputeDevice> devices);

  /// Submits all tasks. They should end within the application's deadline, which only some policies look at.
  void start();
  /// Submits all tasks as part of `group` once all of `after` have ended; the tasks of the graph that end last. Not
  /// while a run is on its way.
  std::vector<TaskHandle> start_in(TaskGroup& group, std::span<const TaskHandle> after);
  /// Blocks until all tasks have ended that `start` submitted.
  const Status& wait() { return scheduler_.wait(group_); }

  /// What happened in the last run, which has ended: a record for each node, also of several tasks.
  RunReport report(std::span<const ComputeDevice> devices) const;

 private:
  const Plan& plan_;
  void prepare(TaskGroup& group);

  Scheduler& scheduler_;
  TaskGroup group_;
  std::unique_ptr<Task[]> tasks_;    // by task of the plan
  std::vector<Task*> roots_;         // which depend on nothing
  std::vector<Placement> schedule_;  // empty without a static policy
  Time started_{};
  std::uint64_t runs_ = 0;
};

}  // namespace cosoc
