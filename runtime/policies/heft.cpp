#include "policies/heft.hpp"

#include <algorithm>
#include <numeric>

#include "policies/selection.hpp"

namespace cosoc {
namespace {

/// When a device works, ordered by time, without overlap.
class Timeline {
 public:
  /// The earliest start, not before `ready`, of a gap that is long enough.
  Time find_gap(Time ready, Time length) const {
    auto next = std::ranges::upper_bound(intervals_, ready, {}, &Interval::end);
    Time start = ready;
    for (; next != intervals_.end() && next->start < start + length; ++next) start = std::max(start, next->end);
    return start;
  }

  void occupy(Time start, Time end) {
    intervals_.insert(std::ranges::upper_bound(intervals_, start, {}, &Interval::start), {start, end});
  }

 private:
  struct Interval {
    Time start;
    Time end;
  };
  std::vector<Interval> intervals_;
};

}  // namespace

std::vector<Placement> schedule_heft(std::span<const GraphTask> tasks, std::size_t devices) {
  std::vector<std::size_t> order(tasks.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::ranges::stable_sort(order, std::greater{}, [&](std::size_t task) { return tasks[task].rank; });

  std::vector<Placement> placements(tasks.size());
  std::vector<Time> ready(tasks.size());
  std::vector<Timeline> timelines(devices);
  for (const std::size_t task : order) {
    Choice best;
    for (std::uint32_t device = 0; device < devices; ++device) {
      const Time cost = tasks[task].costs[device];
      if (cost >= impossible) continue;
      const Time end = timelines[device].find_gap(ready[task], cost) + cost;
      if (end < best.end) best = {device, end};
    }
    const Time start = best.end - tasks[task].costs[best.device];
    timelines[best.device].occupy(start, best.end);
    placements[task] = {best.device, start};
    for (const std::size_t next : tasks[task].successors) ready[next] = std::max(ready[next], best.end);
  }
  return placements;
}

/// Tasks of a scheduled graph go where and in the order in which the schedule has them. What has no schedule, or lost
/// its device, goes where it ends first, and takes its turn by its expected start.
void heft(const Round& round, PolicyState&, std::vector<Assignment>& result) {
  std::vector<Time> free_at = free_times(round.devices);
  for (std::uint32_t index = 0; index < round.tasks.size(); ++index) {
    const ReadyTask& task = round.tasks[index];
    const std::uint32_t planned = task.planned_device;
    if (planned != no_device) {
      const Time end = free_at[planned] + cost_on(task, round.devices[planned], planned);
      if (end < impossible) {
        free_at[planned] = end;
        result.push_back({index, planned, end, task.planned_start});
        continue;
      }
    }
    const Choice best = earliest_end(task, round.devices, free_at);
    if (best.device == no_device) continue;
    result.push_back({index, best.device, best.end, free_at[best.device]});
    free_at[best.device] = best.end;
  }
}

}  // namespace cosoc
