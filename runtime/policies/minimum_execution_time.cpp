/// MET, minimum execution time (Braun et al., "A comparison of eleven static heuristics for mapping a class of
/// independent tasks onto heterogeneous distributed computing systems", JPDC 2001): each task to the device that runs
/// it fastest, however long it has to wait there. Of equally fast devices, the one where it ends first.
#include "policies/selection.hpp"

namespace cosoc {
namespace {

void minimum_execution_time(const Round& round, PolicyState&, std::vector<Assignment>& result) {
  std::vector<Time> free_at = free_times(round.devices);
  for (std::uint32_t task = 0; task < round.tasks.size(); ++task) {
    Choice best;
    Time least = impossible;
    for (std::uint32_t device = 0; device < round.devices.size(); ++device) {
      const Time cost = cost_on(round.tasks[task], round.devices[device], device);
      const Time end = free_at[device] + cost;
      if (end >= impossible || cost > least || (cost == least && end >= best.end)) continue;
      least = cost;
      best = {device, end};
    }
    if (best.device == no_device) continue;
    free_at[best.device] = best.end;
    result.push_back({task, best.device, best.end, {}});
  }
}

const RegisteredPolicy registered("MET", minimum_execution_time);

}  // namespace

}  // namespace cosoc
