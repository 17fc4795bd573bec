/// HEFT_RT, the run-time form of HEFT (Topcuoglu, Hariri and Wu, "Performance-effective and low-complexity task
/// scheduling for heterogeneous computing", IEEE TPDS 2002; run-time form: Mack et al., "Performant, multi-objective
/// scheduling of highly interleaved task graphs on heterogeneous system on chip devices", IEEE TPDS 2022): only ready
/// tasks are ordered by upward rank, and a task is appended to a device's queue, never inserted into a gap.
#include <numeric>

#include "policies/selection.hpp"
#include "policies/sorting.hpp"

namespace cosoc {
namespace {

void heft_rt(const Round& round, PolicyState&, std::vector<Assignment>& result) {
  std::vector<std::uint64_t> keys;
  keys.reserve(round.tasks.size());
  // Highest rank first; tasks of equal rank keep the order in which they became ready.
  for (const ReadyTask& task : round.tasks) keys.push_back(~static_cast<std::uint64_t>(task.rank.count()));
  std::vector<std::uint32_t> order(round.tasks.size());
  std::iota(order.begin(), order.end(), 0U);
  sort_by_key(keys, order);

  std::vector<Time> free_at = free_times(round.devices);
  for (const std::uint32_t task : order) {
    const Choice best = earliest_end(round.tasks[task], round.devices, free_at);
    if (best.device == no_device) continue;
    free_at[best.device] = best.end;
    result.push_back({task, best.device, best.end, {}});
  }
}

const RegisteredPolicy registered("HEFT_RT", heft_rt);

}  // namespace

}  // namespace cosoc
