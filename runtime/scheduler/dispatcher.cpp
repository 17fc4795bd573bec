#include "scheduler/dispatcher.hpp"

#include <algorithm>
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
    // What has ended has another identifier, or none; its group, which is there until this task has ended, knows how.
    if (before.task->id.load(std::memory_order_relaxed) != before.id) {
      const bool counts = before.group != nullptr && !before.only_order;
      if (counts && before.group->failed()) task.group->fail(before.group->status().error().message);
      continue;
    }
    before.task->waiting.push_back(&task);
    ++task.missing;
  }
  if (task.missing != 0) return;
  // It may have lain in the inbox of an executor whose devices were busy.
  if (trace_ != nullptr) now_ = task.submitted;
  make_ready(task);
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
  if (trace_ != nullptr) number(task);
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

/// Before its successors are released, which may end, and be forgotten, before it is written.
void Dispatcher::number(Task& task) {
  const auto name = [this](Task& of) {
    if (of.number == 0) of.number = trace_->next_id();
    return of.number;
  };
  name(task);
  task.unwritten = task.outcome != Outcome::device_failed && task.outcome != Outcome::refused;
  if (!task.unwritten) return write(*trace_, task);
  for (const std::size_t next : task.successors) task.next_numbers.push_back(name(task.siblings[next]));
  for (Task* next : task.waiting) task.next_numbers.push_back(name(*next));
}

void Dispatcher::write_round() {
  if (round_) trace_->write(*round_);
  round_.reset();
}

}  // namespace cosoc
