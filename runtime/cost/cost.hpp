/// What a task is expected to take on a device.
#pragma once

#include <optional>
#include <span>
#include <vector>

#include "device/platform.hpp"
#include "drivers/driver.hpp"
#include "kernels/kernel.hpp"

namespace cosoc {

/// Time of a kernel on one core of the reference CPU, a Cortex-A53 at 1.2 GHz: a fixed start, then whichever is longer
/// of computing and moving the data.
Time cpu_cost(const Kernel& kernel, std::span<const TensorType> inputs, std::span<const TensorType> outputs);

/// Time of a kernel on an accelerator that supports it: its driver's estimate at the SoC's clock.
Time accelerator_cost(const Driver& driver, const SoCDescription& soc, const Kernel& kernel,
                      std::span<const TensorType> inputs, std::span<const TensorType> outputs);

/// Expected times of tasks on devices; nothing where a task may not run.
class CostTable {
 public:
  CostTable(std::size_t tasks, std::size_t devices) : devices_(devices), times_(tasks * devices) {}

  std::optional<Time> at(std::size_t task, std::size_t device) const { return times_[task * devices_ + device]; }
  void set(std::size_t task, std::size_t device, std::optional<Time> time) { times_[task * devices_ + device] = time; }
  std::size_t devices() const { return devices_; }

 private:
  std::size_t devices_;
  std::vector<std::optional<Time>> times_;
};

}  // namespace cosoc
