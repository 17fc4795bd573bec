/// What policies share: the devices' ends while a round fills them, and the device where a task ends first.
#pragma once

#include "policies/policy.hpp"

namespace cosoc {

/// When each device is free; never for those that are not usable.
inline std::vector<Time> free_times(std::span<const DeviceState> devices) {
  std::vector<Time> times;
  times.reserve(devices.size());
  for (const DeviceState& device : devices) times.push_back(device.usable ? device.available_at : impossible);
  return times;
}

/// A device and when the task would end there; none when `end` is not below `impossible`.
struct Choice {
  std::uint32_t device = no_device;
  Time end = impossible;
};

/// The device where the task ends first; of equal ends, the first device.
inline Choice earliest_end(const ReadyTask& task, std::span<const DeviceState> devices, std::span<const Time> free_at) {
  // Which device is best so far no processor foresees; a compiler makes branches of comparisons, but none of signs.
  Choice best;
  for (std::uint32_t device = 0; device < devices.size(); ++device) {
    const Time end = free_at[device] + cost_on(task, devices[device], device);
    const std::int64_t difference = (end - best.end).count();
    const std::int64_t earlier = difference >> 63;
    best.device ^= (best.device ^ device) & static_cast<std::uint32_t>(earlier);
    best.end += Time(difference & earlier);
  }
  return best;
}

}  // namespace cosoc
