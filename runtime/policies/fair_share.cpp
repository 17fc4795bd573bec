/// FAIR: applications get device time in proportion to their weights, and none starves.
///
/// Start-time fair queueing (Goyal, Vin and Cheng, "Start-time fair queueing: a scheduling algorithm for integrated
/// services packet switching networks", IEEE/ACM Trans. Networking 1997): a task's start tag is the later of the
/// virtual time and the end tag of its application's task before it; its end tag is that plus its cost by the weight.
/// Devices take tasks by start tag. The virtual time is the least tag among what runs, so an application that arrives
/// late or was idle begins where the others are. Which device: the one where the task ends first.
#include <algorithm>

#include "policies/selection.hpp"

namespace cosoc {
namespace {

/// What is not after the virtual time says nothing: the application would start there anyway. Looks through all entries
/// only when they have doubled.
void forget_idle(PolicyState& state) {
  if (state.virtual_end.size() < state.virtual_end_limit) return;
  std::erase_if(state.virtual_end, [&](const auto& entry) { return entry.second <= state.virtual_time; });
  state.virtual_end_limit = 64 + 2 * state.virtual_end.size();
}

}  // namespace

void fair_share(const Round& round, PolicyState& state, std::vector<Assignment>& result) {
  Time running = impossible;
  for (const DeviceState& device : round.devices) running = std::min(running, device.running_order);
  if (running < impossible) state.virtual_time = std::max(state.virtual_time, running);
  forget_idle(state);

  std::vector<Time> free_at = free_times(round.devices);
  for (std::uint32_t task = 0; task < round.tasks.size(); ++task) {
    const Choice best = earliest_end(round.tasks[task], round.devices, free_at);
    if (best.device == no_device) continue;
    Time& virtual_end = state.virtual_end[round.tasks[task].application];
    const Time start = std::max(state.virtual_time, virtual_end);
    const Time cost = best.end - free_at[best.device];
    virtual_end = start + Time(static_cast<std::int64_t>(static_cast<double>(cost.count()) / round.tasks[task].weight));
    free_at[best.device] = best.end;
    result.push_back({task, best.device, best.end, start});
  }
}

}  // namespace cosoc
