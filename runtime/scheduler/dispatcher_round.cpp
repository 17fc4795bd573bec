/// The part of the dispatcher that is about decisions: a round of the policy over all ready tasks.
#include <algorithm>
#include <chrono>
#include <functional>
#include <iterator>

#include "scheduler/dispatcher.hpp"

namespace cosoc {

void Dispatcher::collect_round(Time now) {
  if (priorities_differ_) {
    std::ranges::stable_sort(ready_, std::greater{},
                             [](const Task* task) { return task->group->application().priority; });
  }
  round_tasks_.clear();
  for (const Task* task : ready_) {
    const Application& application = task->group->application();
    const Time deadline = task->group->deadline();
    round_tasks_.push_back({.costs = task->costs(),
                            .rank = task->rank,
                            .latest_end = deadline - (task->rank - task->what->costs->mean()),
                            .movement = task->what->movement,
                            .domain = task->domain,
                            .planned_device = task->planned_device,
                            .planned_start = task->planned_start,
                            .application = application.id,
                            .weight = application.weight});
    if (deadline >= impossible) round_tasks_.back().latest_end = impossible;
  }
  round_devices_.clear();
  for (std::size_t device = 0; device < states_.size(); ++device) {
    const State& state = states_[device];
    round_devices_.push_back({.available_at = std::max(now, state.busy_until) + state.queued,
                              .usable = state.usable(),
                              .domain = devices_[device].domain,
                              .watts = devices_[device].watts,
                              .running_order = state.running_order});
  }
  assignments_.clear();
}

void Dispatcher::schedule(Time now) {
  if (ready_.empty()) return;
  collect_round(now);
  decide(now);
  keep_unassigned();
}

void Dispatcher::decide(Time now) {
  const Round round{round_tasks_, round_devices_};
  if (trace_ == nullptr) {
    policy_.decide(round, policy_state_, assignments_);
    for (const Assignment& assignment : assignments_) assign(assignment);
    return;
  }
  const auto before = std::chrono::steady_clock::now();
  policy_.decide(round, policy_state_, assignments_);
  const Time duration = std::chrono::steady_clock::now() - before;
  for (const Assignment& assignment : assignments_) assign(assignment);
  queue_sizes_.clear();
  for (const State& state : states_) queue_sizes_.push_back(state.queue.size());
  round_ = RoundEvent{.start = now,
                      .duration = trace_->is_simulated() ? Time{} : duration,
                      .ready = round.tasks.size(),
                      .assigned = assignments_.size(),
                      .queued = queue_sizes_};
}

/// Policies come from anybody: what they answer is checked.
void Dispatcher::assign(const Assignment& assignment) {
  const bool known = assignment.task < ready_.size() && assignment.device < states_.size();
  Task& task = *ready_[known ? assignment.task : 0];
  const bool possible = known && states_[assignment.device].usable() && task.costs()[assignment.device] < impossible &&
                        task.device == no_device;
  if (!possible) {
    return task.group->fail("policy " + policy_.name + " assigned task " + task.what->name +
                            " twice, or to a device that cannot run it");
  }
  task.device = assignment.device;
  task.order = assignment.order;
  task.expected_end = assignment.expected_end;
  task.ready_count = static_cast<std::uint32_t>(ready_.size());
  State& state = states_[assignment.device];
  task.queued = static_cast<std::uint32_t>(state.queue.size());
  task.cost = task.costs()[assignment.device];
  state.queued += task.cost;
  state.queue.push(task);
}

/// What the policy left out stays ready, if that makes sense.
void Dispatcher::keep_unassigned() {
  const auto assigned = [](const Task* task) { return task->device != no_device; };
  if (assignments_.size() == ready_.size() && std::ranges::all_of(ready_, assigned)) return ready_.clear();
  const bool idle =
      std::ranges::all_of(states_, [](const State& state) { return state.running == 0 && state.queue.empty(); });
  std::vector<Task*> left;
  std::ranges::copy_if(ready_, std::back_inserter(left), [&](const Task* task) { return !assigned(task); });
  ready_.clear();
  for (Task* task : left) {
    if (!is_possible(*task)) task->group->fail(without_device(*task));
    if (idle)
      task->group->fail("policy " + policy_.name + " left task " + task->what->name + " although all devices are idle");
    make_ready(*task);
  }
}

bool Dispatcher::is_possible(const Task& task) const {
  for (std::size_t device = 0; device < states_.size(); ++device) {
    if (states_[device].usable() && task.costs()[device] < impossible) return true;
  }
  return false;
}

std::string Dispatcher::without_device(const Task& task) const {
  std::string text = "node " + task.what->name + ": no device is left that can run it";
  if (!task.note.empty()) text += "; " + task.note;
  for (const std::string& device : quarantined()) text += "; quarantined: " + device;
  for (std::size_t device = 0; device < states_.size(); ++device) {
    if (status(device).condition == DeviceCondition::removed) text += "; removed: " + devices_[device].name;
  }
  return text;
}

}  // namespace cosoc
