#include "policies/policy.hpp"

namespace cosoc {

Decision round_robin(const PolicyState& state, std::span<const ReadyTask> ready, std::span<const DeviceState> devices,
                     const CostTable& costs) {
  Decision decision{{}, state};
  std::vector<DeviceState> after(devices.begin(), devices.end());
  for (const ReadyTask& task : ready) {
    for (std::size_t step = 0; step < devices.size(); ++step) {
      const std::size_t device = (decision.state.next_device + step) % devices.size();
      const auto cost = costs.at(task.task, device);
      if (!devices[device].usable || !cost) continue;
      after[device].available_at += *cost;
      decision.assignments.push_back({task.task, device, after[device].available_at});
      decision.state.next_device = (device + 1) % devices.size();
      break;
    }
  }
  return decision;
}

}  // namespace cosoc
