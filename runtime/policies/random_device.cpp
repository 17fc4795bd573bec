/// RANDOM: each task to any device that may run it, all with the same probability. The sequence depends on the seed
/// alone, on every machine.
#include "policies/selection.hpp"

namespace cosoc {
namespace {

/// SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014).
std::uint64_t next_random(std::uint64_t& state) {
  std::uint64_t value = state += 0x9E3779B97F4A7C15;
  value = (value ^ (value >> 30)) * 0xBF58476D1CE4E5B9;
  value = (value ^ (value >> 27)) * 0x94D049BB133111EB;
  return value ^ (value >> 31);
}

void random_device(const Round& round, PolicyState& state, std::vector<Assignment>& result) {
  std::vector<Time> free_at = free_times(round.devices);
  std::vector<std::uint32_t> possible;
  for (std::uint32_t task = 0; task < round.tasks.size(); ++task) {
    possible.clear();
    for (std::uint32_t device = 0; device < round.devices.size(); ++device) {
      if (free_at[device] + round.tasks[task].costs[device] < impossible) possible.push_back(device);
    }
    if (possible.empty()) continue;
    const std::uint32_t device = possible[next_random(state.random) % possible.size()];
    free_at[device] += cost_on(round.tasks[task], round.devices[device], device);
    result.push_back({task, device, free_at[device], {}});
  }
}

const RegisteredPolicy registered("RANDOM", random_device);

}  // namespace

}  // namespace cosoc
