#include "scheduler/dispatcher.hpp"

#include <algorithm>

namespace cosoc {

Dispatcher::Dispatcher(const Plan& plan, const Policy& policy, PolicyState& state, std::span<ComputeDevice> devices,
                       Trace* trace, Time now)
    : plan_(plan),
      policy_(policy),
      policy_state_(state),
      devices_(devices),
      trace_(trace),
      costs_(plan.costs),
      states_(devices.size()),
      notes_(plan.tasks.size()) {
  report_.start = now;
  report_.tasks.resize(plan.tasks.size());
  for (std::size_t i = 0; i < plan.tasks.size(); ++i) {
    missing_.push_back(plan.tasks[i].dependencies);
    if (missing_.back() == 0) ready_.push_back(i);
  }
}

std::vector<DeviceState> Dispatcher::device_states(Time now) const {
  std::vector<DeviceState> result;
  for (std::size_t device = 0; device < states_.size(); ++device) {
    const State& state = states_[device];
    DeviceState summary{now, devices_[device].quarantine.empty()};
    if (state.running) summary.available_at = std::max(now, state.started + cost(*state.running, device));
    for (const std::size_t task : state.queue) summary.available_at += cost(task, device);
    result.push_back(summary);
  }
  return result;
}

void Dispatcher::schedule(Time now) {
  if (ready_.empty() || !status_) return;
  std::vector<ReadyTask> tasks;
  tasks.reserve(ready_.size());
  for (const std::size_t task : ready_) tasks.push_back({task, plan_.tasks[task].rank});
  const Decision decision = policy_.decide(policy_state_, tasks, device_states(now), costs_);
  policy_state_ = decision.state;
  for (const Assignment& assignment : decision.assignments) {
    states_[assignment.device].queue.push_back(assignment.task);
    notes_[assignment.task].ready = ready_.size();
    notes_[assignment.task].expected_end = assignment.expected_end;
  }
  for (const std::size_t task : ready_) {
    const bool assigned =
        std::ranges::find(decision.assignments, task, &Assignment::task) != decision.assignments.end();
    if (!assigned) return fail(without_device(task));
  }
  ready_.clear();
}

std::string Dispatcher::without_device(std::size_t task) const {
  std::string text = "node " + plan_.tasks[task].name + ": no device is left that can run it";
  if (!notes_[task].trouble.empty()) text += "; " + notes_[task].trouble;
  for (const ComputeDevice& device : devices_) {
    if (!device.quarantine.empty()) text += "; " + device.name + " is quarantined: " + device.quarantine;
  }
  return text;
}

bool Dispatcher::has_work(std::size_t device) const {
  return status_.has_value() && !states_[device].running && !states_[device].queue.empty();
}

std::size_t Dispatcher::start(std::size_t device, Time now) {
  State& state = states_[device];
  const std::size_t task = state.queue.front();
  state.queue.pop_front();
  state.running = task;
  state.started = now;
  return task;
}

void Dispatcher::complete(std::size_t device, Time now, const CallCounters& counters, const std::string& note) {
  State& state = states_[device];
  const std::size_t index = *state.running;
  const Task& task = plan_.tasks[index];
  state.running.reset();

  TaskRecord& record = report_.tasks[index];
  record = {task.name,
            std::string(task.kernel->name()),
            devices_[device].name,
            state.started,
            now,
            counters.cycles,
            counters.commands,
            task.reason};
  for (const std::string& text : {notes_[index].trouble, note}) {
    if (!text.empty()) record.reason += (record.reason.empty() ? "" : "; ") + text;
  }
  if (trace_ != nullptr) {
    trace_->write({device, &record, policy_.name, notes_[index].ready, notes_[index].expected_end});
  }

  ++done_;
  for (const std::size_t next : task.successors) {
    if (--missing_[next] == 0) ready_.push_back(next);
  }
}

void Dispatcher::abandon(std::size_t device, const std::string& why) {
  State& state = states_[device];
  devices_[device].quarantine = why;
  if (state.running) {
    const std::size_t task = *state.running;
    notes_[task].trouble = devices_[device].name + ": " + why;
    // What failed on one accelerator is not tried on the next.
    for (std::size_t other = 0; other < devices_.size(); ++other) {
      if (!devices_[other].is_cpu()) costs_.set(task, other, std::nullopt);
    }
    ready_.push_back(task);
    state.running.reset();
  }
  ready_.insert(ready_.end(), state.queue.begin(), state.queue.end());
  state.queue.clear();
}

void Dispatcher::fail(const std::string& message) {
  if (status_) status_ = failure(message);
}

bool Dispatcher::settled() const {
  const bool idle = std::ranges::none_of(states_, [](const State& state) { return state.running.has_value(); });
  return idle && (!status_ || done_ == plan_.tasks.size());
}

RunReport Dispatcher::take_report(Time now, const DeviceMemory& memory) {
  report_.end = now;
  report_.peak_memory_bytes = memory.peak_bytes();
  for (const ComputeDevice& device : devices_) {
    if (!device.quarantine.empty()) report_.quarantined.push_back(device.name + ": " + device.quarantine);
  }
  return std::move(report_);
}

}  // namespace cosoc
