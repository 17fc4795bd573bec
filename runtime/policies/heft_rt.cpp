/// HEFT_RT, the run-time form of HEFT (Topcuoglu, Hariri and Wu, "Performance-effective and low-complexity task
/// scheduling for heterogeneous computing", IEEE TPDS 2002; run-time form: Mack et al., "Performant, multi-objective
/// scheduling of highly interleaved task graphs on heterogeneous system on chip devices", IEEE TPDS 2022): only ready
/// tasks are ordered by upward rank, and a task is appended to a device's queue, never inserted into a gap.
#include <algorithm>

#include "policies/policy.hpp"

namespace cosoc {

Decision heft_rt(const PolicyState& state, std::span<const ReadyTask> ready, std::span<const DeviceState> devices,
                 const CostTable& costs) {
  std::vector<ReadyTask> ordered(ready.begin(), ready.end());
  // Stable: tasks of equal rank keep the order in which they became ready.
  std::ranges::stable_sort(ordered, [](const ReadyTask& a, const ReadyTask& b) { return a.rank > b.rank; });
  return earliest_finish_time(state, ordered, devices, costs);
}

}  // namespace cosoc
