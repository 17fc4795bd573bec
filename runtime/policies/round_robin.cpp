/// RR: each task to the next device in turn that may run it.
#include "policies/selection.hpp"

namespace cosoc {
namespace {

void round_robin(const Round& round, PolicyState& state, std::vector<Assignment>& result) {
  std::vector<Time> free_at = free_times(round.devices);
  const std::size_t count = round.devices.size();
  std::size_t device = state.words[0];  // whose turn it is
  for (std::uint32_t task = 0; task < round.tasks.size(); ++task) {
    for (std::size_t step = 0; step < count; ++step, ++device) {
      if (device >= count) device = 0;
      const Time end = free_at[device] + cost_on(round.tasks[task], round.devices[device], device);
      if (end >= impossible) continue;
      free_at[device] = end;
      result.push_back({task, static_cast<std::uint32_t>(device++), end, {}});
      break;
    }
  }
  state.words[0] = device < count ? device : 0;
}

const RegisteredPolicy registered("RR", round_robin);

}  // namespace

}  // namespace cosoc
