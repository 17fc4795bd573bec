/// ENERGY: each task to the device that runs it with the least energy among those where it ends in time for the
/// deadline of its application; where none does, to the one where it ends first. Most urgent tasks choose first.
///
/// Energy is the expected time by the device's power while it works. What idle devices take is the same everywhere.
#include <algorithm>
#include <numeric>

#include "policies/selection.hpp"
#include "policies/sorting.hpp"

namespace cosoc {
namespace {

void minimum_energy(const Round& round, PolicyState&, std::vector<Assignment>& result) {
  std::vector<std::uint64_t> keys;
  keys.reserve(round.tasks.size());
  // A deadline that has passed already is the most urgent.
  for (const ReadyTask& task : round.tasks) {
    keys.push_back(static_cast<std::uint64_t>(std::max(task.latest_end, Time{}).count()));
  }
  std::vector<std::uint32_t> order(round.tasks.size());
  std::iota(order.begin(), order.end(), 0U);
  sort_by_key(keys, order);

  std::vector<Time> free_at = free_times(round.devices);
  for (const std::uint32_t index : order) {
    const ReadyTask& task = round.tasks[index];
    Choice best = earliest_end(task, round.devices, free_at);
    if (best.device == no_device) continue;
    double least = 0;
    bool in_time = false;
    for (std::uint32_t device = 0; device < round.devices.size(); ++device) {
      const Time cost = cost_on(task, round.devices[device], device);
      const Time end = free_at[device] + cost;
      if (end >= impossible || end > task.latest_end) continue;
      const double energy = round.devices[device].watts * static_cast<double>(cost.count());
      if (in_time && (energy > least || (energy == least && end >= best.end))) continue;
      in_time = true;
      least = energy;
      best = {device, end};
    }
    free_at[best.device] = best.end;
    result.push_back({index, best.device, best.end, {}});
  }
}

const RegisteredPolicy registered("ENERGY", minimum_energy);

}  // namespace

}  // namespace cosoc
