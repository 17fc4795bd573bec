#include "scheduler/plan_schedule.hpp"

namespace cosoc {
namespace {

/// A plan as HEFT sees it. Whatever a task follows, all of its inputs count as moved, once: the plan does not say which
/// of them come from where, and one that has to be moved delays the task.
struct PlanCosts {
  std::vector<std::vector<Time>> costs;
  std::vector<std::vector<Time>> movements;
  std::vector<std::uint32_t> domains;
  std::vector<GraphTask> tasks;

  PlanCosts(const Plan& plan, std::span<const ComputeDevice> devices) {
    for (const ComputeDevice& device : devices) domains.push_back(device.domain);
    costs.reserve(plan.tasks.size());
    movements.reserve(plan.tasks.size());
    tasks.reserve(plan.tasks.size());
    for (const PlannedTask& task : plan.tasks) {
      costs.push_back(task.what.costs->snapshot());
      auto& times = movements.emplace_back();
      times.reserve(task.successors.size());
      for (const std::size_t next : task.successors) times.push_back(plan.tasks[next].what.movement);
      tasks.push_back({.costs = costs.back(),
                       .successors = task.successors,
                       .movements = times,
                       .arrival = task.dependencies == 0 ? task.what.movement : Time{},
                       .rank = task.rank});
    }
  }
};

}  // namespace

void find_ranks(Plan& plan, std::span<const ComputeDevice> devices) {
  PlanCosts graph(plan, devices);
  find_ranks(graph.tasks, graph.domains);
  for (std::size_t i = 0; i < plan.tasks.size(); ++i) plan.tasks[i].rank = graph.tasks[i].rank;
}

std::vector<Placement> schedule(const Plan& plan, std::span<const ComputeDevice> devices) {
  const PlanCosts graph(plan, devices);
  return schedule_heft(graph.tasks, graph.domains);
}

}  // namespace cosoc
