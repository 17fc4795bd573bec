#include "scheduler/dispatcher.hpp"

#include <algorithm>
#include <chrono>
#include <iterator>
#include <utility>

namespace cosoc {

Dispatcher::Dispatcher(Policy policy, std::uint64_t seed, std::span<const ComputeDevice> devices, Trace* trace,
                       CostModel* learned)
    : policy_(std::move(policy)), devices_(devices), trace_(trace), learned_(learned), states_(devices.size()) {
  policy_state_.random = seed;
  for (const ComputeDevice& device : devices) {
    const auto found = std::ranges::find(classes_.names, device.cost_class);
    classes_.of_device.push_back(static_cast<std::uint32_t>(found - classes_.names.begin()));
    if (found == classes_.names.end()) classes_.names.push_back(device.cost_class);
  }
  for (std::size_t i = 0; i < devices.size(); ++i) {
    states_[i].status = {devices[i].name, devices[i].kind, DeviceCondition::working, {}};
  }
}

void Dispatcher::admit(Task& task, Time now) {
  now_ = now;
  if (task.order_to_device != DeviceOrder::none) return carry_out(task);
  for (const TaskHandle& before : task.after) {
    // What has ended has another identifier, or none.
    if (before.task->id.load(std::memory_order_relaxed) != before.id) continue;
    before.task->waiting.push_back(&task);
    ++task.missing;
  }
  if (task.missing == 0) make_ready(task);
}

void Dispatcher::make_ready(Task& task) {
  if (!broken_.empty()) task.group->fail(broken_);
  if (task.group->failed()) {
    task.outcome = Outcome::cancelled;
    task.note = task.group->status().error().message;
    return end(task);
  }
  task.ready = now_;
  priorities_differ_ |= task.group->application().priority != 0;
  ready_.push_back(&task);
}

bool Dispatcher::needs(const Task& task, const Task& before) {
  return std::ranges::any_of(task.after, [&](const TaskHandle& handle) {
    return handle.task == &before && handle.id == before.id && !handle.only_order;
  });
}

/// Ends a task, and with it those that wait for it in vain.
void Dispatcher::end(Task& task) {
  ending_.push_back(&task);
  if (ending_.size() > 1) return;  // called from below, where the loop goes on with it
  for (std::size_t i = 0; i < ending_.size(); ++i) {
    Task& ended = *ending_[i];
    const std::uint32_t domain = ended.device == no_device ? 0 : devices_[ended.device].domain;
    const auto release = [this, domain](Task& waiting) {
      waiting.domain = domain;
      if (--waiting.missing == 0) make_ready(waiting);
    };
    for (const std::size_t next : ended.successors) release(ended.siblings[next]);
    for (Task* next : ended.waiting) {
      // Of another group, perhaps: what was to come out of the ended one is not there.
      if (ended.outcome != Outcome::done && needs(*next, ended)) {
        next->group->fail(ended.group->status().error().message);
      }
      release(*next);
    }
    ended.id.store(0, std::memory_order_relaxed);
    ended.next = nullptr;
    *ended_end_ = &ended;
    ended_end_ = &ended.next;
  }
  ending_.clear();
}

Task* Dispatcher::take_ended() {
  Task* list = ended_;
  ended_ = nullptr;
  ended_end_ = &ended_;
  return list;
}

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
  trace_->write({.start = now,
                 .duration = trace_->is_simulated() ? Time{} : duration,
                 .ready = round.tasks.size(),
                 .assigned = assignments_.size(),
                 .queued = queue_sizes_});
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
    if (states_[device].status.condition == DeviceCondition::removed) text += "; removed: " + devices_[device].name;
  }
  return text;
}

bool Dispatcher::has_work(std::size_t device) {
  State& state = states_[device];
  while (!state.queue.empty()) {
    Task& task = state.queue.front();
    if (broken_.empty() && !task.group->failed()) return true;
    state.queue.pop();
    state.queued -= task.cost;
    task.device = no_device;
    make_ready(task);  // where it is cancelled
  }
  return false;
}

Task& Dispatcher::start(std::size_t device, Time now) {
  State& state = states_[device];
  Task& task = state.queue.front();
  state.queue.pop();
  state.queued -= task.cost;
  state.busy_until = std::max(now, state.busy_until) + task.cost;
  state.running_order = task.order;
  ++state.running;
  return task;
}

void Dispatcher::finish(Task& task) {
  State& state = states_[task.device];
  if (--state.running == 0) {
    state.busy_until = {};
    if (state.queue.empty()) state.running_order = impossible;
    end_orders(task.device);
  }
  now_ = task.end;
  if (trace_ != nullptr) record(task);
  switch (task.outcome) {
    case Outcome::done:
      if (learned_ != nullptr && task.note.empty()) learn(task);
      break;
    case Outcome::device_failed:
      if (!broken_.empty()) break;
      withdraw(task.device, DeviceCondition::quarantined, task.note);
      task.note = devices_[task.device].name + ": " + task.note;
      // What failed on one accelerator is not tried on the next.
      task.cpu_only = true;
      task.device = no_device;
      task.outcome = Outcome::pending;
      return make_ready(task);
    case Outcome::refused:
      task.note = devices_[task.device].name + ": " + task.note;
      task.cpu_only = true;
      task.device = no_device;
      task.outcome = Outcome::pending;
      return make_ready(task);
    default:
      task.group->fail("node " + task.what->name + " on " + devices_[task.device].name + ": " + task.note);
  }
  end(task);
}

/// Its queued tasks go elsewhere; what runs on it comes back by itself.
void Dispatcher::withdraw(std::size_t device, DeviceCondition condition, const std::string& why) {
  State& state = states_[device];
  if (state.usable() || condition == DeviceCondition::removed) {
    const std::lock_guard lock(status_mutex_);
    state.status = {devices_[device].name, devices_[device].kind, condition, why};
  }
  while (!state.queue.empty()) {
    Task& task = state.queue.front();
    state.queue.pop();
    task.device = no_device;
    make_ready(task);
  }
  state.queued = {};
}

void Dispatcher::carry_out(Task& order) {
  const std::size_t device = order.planned_device;
  if (order.order_to_device == DeviceOrder::remove) {
    withdraw(device, DeviceCondition::removed, "removed");
    order.next = std::exchange(states_[device].leaving, &order);
    return end_orders(device);
  }
  if (auto added = add(device); added) {
    order.outcome = Outcome::done;
  } else {
    order.outcome = Outcome::failed;
    order.note = added.error().message;
    order.group->fail(order.note);
  }
  end(order);
}

Status Dispatcher::add(std::size_t device) {
  State& state = states_[device];
  const std::string& name = devices_[device].name;
  if (state.usable()) return failure("device " + name + " is there and works");
  if (state.running != 0)
    return failure("device " + name + " is being removed: a task still runs on it; wait for its end");
  if (!devices_[device].is_cpu()) {
    if (auto ready = devices_[device].driver->reset(); !ready) return failure(name + ": " + ready.error().message);
  }
  const std::lock_guard lock(status_mutex_);
  state.status.condition = DeviceCondition::working;
  state.status.reason.clear();
  return {};
}

void Dispatcher::end_orders(std::size_t device) {
  State& state = states_[device];
  while (state.running == 0 && state.leaving != nullptr) {
    Task& order = *std::exchange(state.leaving, state.leaving->next);
    order.outcome = Outcome::done;
    end(order);
  }
}

void Dispatcher::learn(const Task& task) {
  if (auto entry = task.what->costs->measure(task.device, task.end - task.start, classes_)) {
    learned_->learn(std::move(*entry));
  }
}

void Dispatcher::fail_all(const std::string& message) {
  broken_ = message;
  const std::vector<Task*> ready = std::exchange(ready_, {});
  for (Task* task : ready) make_ready(*task);
  for (std::size_t device = 0; device < states_.size(); ++device) has_work(device);
}

std::vector<std::string> Dispatcher::quarantined() const {
  const std::lock_guard lock(status_mutex_);
  std::vector<std::string> list;
  for (const State& state : states_) {
    if (state.status.condition != DeviceCondition::quarantined) continue;
    list.push_back(state.status.name + ": " + state.status.reason);
  }
  return list;
}

DeviceStatus Dispatcher::status(std::size_t device) const {
  const std::lock_guard lock(status_mutex_);
  return states_[device].status;
}

void Dispatcher::record(Task& task) {
  const auto number = [this](Task& of) {
    if (of.number == 0) of.number = trace_->next_id();
    return of.number;
  };
  const bool ends = task.outcome != Outcome::device_failed && task.outcome != Outcome::refused;
  next_ids_.clear();
  if (ends) {
    for (const std::size_t next : task.successors) next_ids_.push_back(number(task.siblings[next]));
    for (Task* next : task.waiting) next_ids_.push_back(number(*next));
  }
  trace_->write({.device = task.device,
                 .id = number(task),
                 .next = next_ids_,
                 .node = task.what->name,
                 .operation = task.what->kernel->name(),
                 .application = task.group->application().name,
                 .submitted = task.submitted,
                 .ready = task.ready,
                 .start = task.start,
                 .end = task.end,
                 .counters = task.counters,
                 .choices = task.ready_count,
                 .queued = task.queued,
                 .expected_end = task.expected_end,
                 .succeeded = task.outcome == Outcome::done,
                 .reason = task.reason()});
}

}  // namespace cosoc
