/// Accelerators of a running daemon that leave and come back, on threads beside the loop: whoever removes one waits for
/// the call that runs on it, and a reset takes a while.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <thread>

#include "daemon/accelerators.hpp"
#include "daemon/event_loop.hpp"

namespace cosoc::daemon {

/// From the loop's thread alone.
class DeviceOrders {
 public:
  using Done = std::function<void(const Status&)>;

  /// Both outlive it.
  DeviceOrders(Accelerators& accelerators, EventLoop& loop) : accelerators_(accelerators), loop_(loop) {}
  /// Waits for what was begun.
  ~DeviceOrders();
  DeviceOrders(const DeviceOrders&) = delete;
  DeviceOrders& operator=(const DeviceOrders&) = delete;

  /// Takes an accelerator out; `done` runs in the loop when no call is left on it. Fails at once, and `done` is not
  /// called, when it does not work or is on its way out.
  Status remove(const std::string& name, Done done);
  /// Resets one that failed or was removed, and gives it calls again; as `remove`.
  Status add(const std::string& name, Done done);

 private:
  using Order = Status (Scheduler::*)(std::size_t device);
  Result<std::size_t> find(const std::string& name) const;
  Status begin(std::size_t device, Order order, Done done);

  Accelerators& accelerators_;
  EventLoop& loop_;
  std::map<std::size_t, std::thread> running_;  // by accelerator
};

}  // namespace cosoc::daemon
