/// EFT: each task to the device where it ends first, in the order in which tasks became ready.
#include "policies/selection.hpp"

namespace cosoc {
namespace {

void earliest_finish_time(const Round& round, PolicyState&, std::vector<Assignment>& result) {
  std::vector<Time> free_at = free_times(round.devices);
  for (std::uint32_t task = 0; task < round.tasks.size(); ++task) {
    const Choice best = earliest_end(round.tasks[task], round.devices, free_at);
    if (best.device == no_device) continue;
    free_at[best.device] = best.end;
    result.push_back({task, best.device, best.end, {}});
  }
}

const RegisteredPolicy registered("EFT", earliest_finish_time);

}  // namespace

}  // namespace cosoc
