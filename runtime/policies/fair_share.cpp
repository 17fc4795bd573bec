/// FAIR: applications get device time in proportion to their weights, and none starves.
///
/// Start-time fair queueing (Goyal, Vin and Cheng, "Start-time fair queueing: a scheduling algorithm for integrated
/// services packet switching networks", IEEE/ACM Trans. Networking 1997): a task's start tag is the later of the
/// virtual time and the end tag of its application's task before it; its end tag is that plus its cost by the weight.
/// Devices take tasks by start tag. The virtual time is the least tag among what runs, so an application that arrives
/// late or was idle begins where the others are. Which device: the one where the task ends first.
///
/// One that waits for a task's end before it submits the next one is not idle: it begins at its own end tag, also when
/// that is before the virtual time, but by no more than one task lasts. Otherwise weights would mean nothing to
/// applications that have one task at a time, because the device takes another's meanwhile. What an application can
/// gain so, a task, is no more than by which this queueing may be unfair anyway.
#include <algorithm>

#include "policies/selection.hpp"

namespace cosoc {
namespace {

/// What a scheduler remembers.
struct Memory {
  PolicyState& state;

  /// Least start tag among what runs, or ran last; it never goes back.
  Time virtual_time() const { return Time(static_cast<std::int64_t>(state.words[0])); }
  void set_virtual_time(Time time) const { state.words[0] = static_cast<std::uint64_t>(time.count()); }
  /// What a task lasts in virtual time: the longest one, which is slowly forgotten.
  Time longest() const { return Time(static_cast<std::int64_t>(state.words[1])); }
  void see_length(Time length) const {
    state.words[1] = static_cast<std::uint64_t>(std::max(length, longest() * 15 / 16).count());
  }
  /// The least start tag that an application may still have.
  Time oldest() const { return virtual_time() - longest(); }

  /// Forgets who was idle. Looks through all entries only when they have doubled, above those that it kept.
  void forget_idle() const {
    std::uint64_t& kept = state.words[2];
    if (state.applications.size() < 64 + 2 * kept) return;
    std::erase_if(state.applications, [&](const auto& entry) { return entry.second < oldest(); });
    kept = state.applications.size();
  }
};

void fair_share(const Round& round, PolicyState& state, std::vector<Assignment>& result) {
  const Memory memory{state};
  Time running = impossible;
  for (const DeviceState& device : round.devices) running = std::min(running, device.running_order);
  if (running < impossible) memory.set_virtual_time(std::max(memory.virtual_time(), running));
  memory.forget_idle();

  std::vector<Time> free_at = free_times(round.devices);
  for (std::uint32_t task = 0; task < round.tasks.size(); ++task) {
    const Choice best = earliest_end(round.tasks[task], round.devices, free_at);
    if (best.device == no_device) continue;
    Time& end = state.applications.try_emplace(round.tasks[task].application, memory.virtual_time()).first->second;
    const Time start = std::max(end, memory.oldest());
    const Time cost = best.end - free_at[best.device];
    const Time length(static_cast<std::int64_t>(static_cast<double>(cost.count()) / round.tasks[task].weight));
    memory.see_length(length);
    end = start + length;
    free_at[best.device] = best.end;
    result.push_back({task, best.device, best.end, start});
  }
}

const RegisteredPolicy registered("FAIR", fair_share);

}  // namespace

}  // namespace cosoc
