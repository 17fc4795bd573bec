#include "scheduler/graph_run.hpp"

#include <algorithm>

namespace cosoc {
namespace {

/// Adds what happened to a task to the record of its node.
void add(TaskRecord& record, const Task& task, const std::string& device, bool is_first) {
  record.device += (is_first ? "" : "+") + device;
  record.start = is_first ? task.start : std::min(record.start, task.start);
  record.end = std::max(record.end, task.end);
  record.cycles += task.counters.cycles;
  record.commands += task.counters.commands;
  if (const std::string reason = task.reason(); record.reason != reason) {
    record.reason += (record.reason.empty() || reason.empty() ? "" : "; ") + reason;
  }
}

}  // namespace

GraphRun::GraphRun(const Plan& plan, std::shared_ptr<const Application> application, Scheduler& scheduler,
                   std::span<const ComputeDevice> devices)
    : plan_(plan),
      scheduler_(scheduler),
      group_(std::move(application)),
      tasks_(std::make_unique<Task[]>(plan.tasks.size())) {
  if (scheduler.is_static()) schedule_ = schedule(plan, devices);
  for (std::size_t i = 0; i < plan.tasks.size(); ++i) {
    const PlannedTask& planned = plan.tasks[i];
    Task& task = tasks_[i];
    task.what = &planned.what;
    task.inputs = planned.inputs;
    task.outputs = planned.outputs;
    task.siblings = tasks_.get();
    task.successors = planned.successors;
    task.rank = planned.rank;
    if (!schedule_.empty()) task.planned_device = schedule_[i].device;
    if (planned.dependencies == 0) roots_.push_back(&task);
  }
}

void GraphRun::start() {
  scheduler_.begin(group_);
  prepare(group_);
  scheduler_.submit(group_, roots_, plan_.tasks.size());
}

std::vector<TaskHandle> GraphRun::start_in(TaskGroup& group, std::span<const TaskHandle> after) {
  prepare(group);
  ++runs_;
  std::vector<TaskHandle> last;
  for (std::size_t i = 0; i < plan_.tasks.size(); ++i) {
    if (!tasks_[i].successors.empty()) continue;
    tasks_[i].id.store(runs_, std::memory_order_relaxed);
    last.push_back({.task = &tasks_[i], .id = runs_, .group = &group});
  }
  for (Task* root : roots_) root->after.assign(after.begin(), after.end());
  scheduler_.submit(group, roots_, plan_.tasks.size());
  return last;
}

void GraphRun::prepare(TaskGroup& group) {
  started_ = scheduler_.now();
  for (std::size_t i = 0; i < plan_.tasks.size(); ++i) {
    tasks_[i].reset();
    tasks_[i].submitted = started_;
    tasks_[i].group = &group;
    tasks_[i].missing = plan_.tasks[i].dependencies;
    if (!schedule_.empty()) tasks_[i].planned_start = started_ + schedule_[i].start;
  }
}

RunReport GraphRun::report(std::span<const ComputeDevice> devices) const {
  RunReport report;
  report.start = report.end = started_;
  std::size_t tasks = 0;  // of the last node
  for (std::size_t i = 0; i < plan_.tasks.size(); ++i) {
    const Task& task = tasks_[i];
    report.end = std::max(report.end, task.end);
    const std::size_t node = plan_.tasks[i].node;
    if (node == report.tasks.size()) {
      TaskRecord& record = report.tasks.emplace_back();
      record.node = plan_.tasks[i].node_name;
      record.operation = task.what->kernel->name();
      tasks = 0;
    }
    if (task.outcome == Outcome::pending || task.device == no_device) continue;
    add(report.tasks.back(), task, devices[task.device].name, tasks++ == 0);
  }
  report.quarantined = scheduler_.quarantined();
  return report;
}

}  // namespace cosoc
