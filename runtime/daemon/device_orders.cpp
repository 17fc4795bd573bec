#include "daemon/device_orders.hpp"

#include <utility>

namespace cosoc::daemon {

DeviceOrders::~DeviceOrders() {
  for (auto& [device, thread] : running_) thread.join();
}

Result<std::size_t> DeviceOrders::find(const std::string& name) const {
  std::string names;
  for (std::size_t i = 0; i < accelerators_.count(); ++i) {
    if (accelerators_.name(i) == name) return i;
    names += (names.empty() ? "" : ", ") + accelerators_.name(i);
  }
  return failure("there is no accelerator " + name + "; there are " + (names.empty() ? "none" : names));
}

Status DeviceOrders::remove(const std::string& name, Done done) {
  const auto device = find(name);
  if (!device) return tl::make_unexpected(device.error());
  // One that failed may still write to memory; as a removed one it would not be looked after any more.
  const DeviceStatus status = accelerators_.scheduler()->status(*device);
  if (status.condition == DeviceCondition::quarantined) {
    return failure(name + " gets no calls any more, because it failed: " + status.reason + "; add it to reset it");
  }
  if (status.condition == DeviceCondition::removed) return failure(name + " is removed already, or on its way out");
  return begin(*device, &Scheduler::remove_device, std::move(done));
}

Status DeviceOrders::add(const std::string& name, Done done) {
  const auto device = find(name);
  if (!device) return tl::make_unexpected(device.error());
  return begin(*device, &Scheduler::add_device, std::move(done));
}

Status DeviceOrders::begin(std::size_t device, Order order, Done done) {
  if (running_.contains(device)) {
    return failure(accelerators_.name(device) + " is being removed or added just now; try again when that has ended");
  }
  running_[device] = std::thread([this, device, order, done = std::move(done)] {
    const Status status = (accelerators_.scheduler()->*order)(device);
    loop_.post([this, device, status, done] {
      running_.at(device).join();
      running_.erase(device);
      done(status);
    });
  });
  return {};
}

}  // namespace cosoc::daemon
