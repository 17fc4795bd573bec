/// The part of the dispatcher that is about devices: they fail, leave and come back.
#include <utility>

#include "scheduler/dispatcher.hpp"

namespace cosoc {

/// Its queued tasks go elsewhere; what runs on it comes back by itself.
void Dispatcher::withdraw(std::size_t device, DeviceCondition condition, const std::string& why) {
  State& state = states_[device];
  {
    const std::lock_guard lock(status_mutex_);
    state.status = {devices_[device].name, devices_[device].kind, condition, why};
  }
  place_anew(device);
}

void Dispatcher::set_absent(std::size_t device, bool absent) {
  {
    const std::lock_guard lock(status_mutex_);
    states_[device].absent = absent;
  }
  if (absent) place_anew(device);
}

/// What waits for the device goes elsewhere, or fails.
void Dispatcher::place_anew(std::size_t device) {
  State& state = states_[device];
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
  if (order.order_to_device == DeviceOrder::learn) {
    order.device = order.planned_device;
    if (learned_ != nullptr) learn(order);
    order.outcome = Outcome::done;
    return end(order);
  }
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
  if (state.absent) return failure("the daemon has taken " + name + " out; `cosoc device add` brings it back");
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
  const State& state = states_[device];
  DeviceStatus status = state.status;
  if (state.absent && status.condition == DeviceCondition::working) {
    status.condition = DeviceCondition::removed;
    status.reason = "the daemon has taken it out, or it failed there";
  }
  return status;
}

}  // namespace cosoc
