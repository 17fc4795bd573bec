#include "policies/policy.hpp"

namespace cosoc {

Decision earliest_finish_time(const PolicyState& state, std::span<const ReadyTask> ready,
                              std::span<const DeviceState> devices, const CostTable& costs) {
  Decision decision{{}, state};
  std::vector<DeviceState> after(devices.begin(), devices.end());
  for (const ReadyTask& task : ready) {
    std::optional<Assignment> best;
    for (std::size_t device = 0; device < devices.size(); ++device) {
      const auto cost = costs.at(task.task, device);
      if (!devices[device].usable || !cost) continue;
      const Time end = after[device].available_at + *cost;
      // Equal ends go to the device that comes first.
      if (!best || end < best->expected_end) best = Assignment{task.task, device, end};
    }
    if (!best) continue;
    after[best->device].available_at = best->expected_end;
    decision.assignments.push_back(*best);
  }
  return decision;
}

}  // namespace cosoc
