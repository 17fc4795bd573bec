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

/// Over the devices that may run the task.
Time mean_cost(const GraphTask& task) {
  Time total{};
  std::int64_t count = 0;
  for (const Time cost : task.costs) {
    if (cost >= impossible) continue;
    total += cost;
    ++count;
  }
  return total / count;
}

/// On one device nothing moves; that pair says nothing about the others.
Time mean_movement(Time movement, const GraphTask& from, const GraphTask& to, std::span<const std::uint32_t> domains) {
  if (movement == Time{}) return {};
  std::int64_t pairs = 0;
  std::int64_t moving = 0;
  for (std::size_t a = 0; a < domains.size(); ++a) {
    for (std::size_t b = 0; b < domains.size(); ++b) {
      if (a == b || from.costs[a] >= impossible || to.costs[b] >= impossible) continue;
      ++pairs;
      moving += domains[a] != domains[b] ? 1 : 0;
    }
  }
  return pairs == 0 ? Time{} : movement * moving / pairs;
}

/// When the inputs of each task are there, by domain, as far as what it follows has been placed.
class Arrivals {
 public:
  Arrivals(std::span<const GraphTask> tasks, std::span<const std::uint32_t> domains)
      : domains_(1 + *std::ranges::max_element(domains)) {
    times_.reserve(tasks.size() * domains_);
    for (const GraphTask& task : tasks) {
      for (std::size_t domain = 0; domain < domains_; ++domain) times_.push_back(domain == 0 ? Time{} : task.arrival);
    }
  }

  Time of(std::size_t task, std::uint32_t domain) const { return times_[task * domains_ + domain]; }

  /// Something that the task follows ends at `end` in a domain.
  void add(std::size_t task, Time end, std::uint32_t from, Time movement) {
    for (std::size_t domain = 0; domain < domains_; ++domain) {
      Time& time = times_[task * domains_ + domain];
      time = std::max(time, domain == from ? end : end + movement);
    }
  }

 private:
  std::size_t domains_;
  std::vector<Time> times_;
};

}  // namespace

void find_ranks(std::span<GraphTask> tasks, std::span<const std::uint32_t> domains) {
  for (std::size_t i = tasks.size(); i-- > 0;) {
    GraphTask& task = tasks[i];
    Time after{};
    for (std::size_t k = 0; k < task.successors.size(); ++k) {
      const GraphTask& next = tasks[task.successors[k]];
      after = std::max(after, mean_movement(task.movements[k], task, next, domains) + next.rank);
    }
    task.rank = mean_cost(task) + after;
  }
}

std::vector<Placement> schedule_heft(std::span<const GraphTask> tasks, std::span<const std::uint32_t> domains) {
  std::vector<std::size_t> order(tasks.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::ranges::stable_sort(order, std::greater{}, [&](std::size_t task) { return tasks[task].rank; });

  std::vector<Placement> placements(tasks.size());
  Arrivals arrivals(tasks, domains);
  std::vector<Timeline> timelines(domains.size());
  for (const std::size_t index : order) {
    const GraphTask& task = tasks[index];
    Choice best;
    for (std::uint32_t device = 0; device < domains.size(); ++device) {
      const Time cost = task.costs[device];
      if (cost >= impossible) continue;
      const Time end = timelines[device].find_gap(arrivals.of(index, domains[device]), cost) + cost;
      if (end < best.end) best = {device, end};
    }
    const Time start = best.end - task.costs[best.device];
    timelines[best.device].occupy(start, best.end);
    placements[index] = {best.device, start};
    for (std::size_t k = 0; k < task.successors.size(); ++k) {
      arrivals.add(task.successors[k], best.end, domains[best.device], task.movements[k]);
    }
  }
  return placements;
}

namespace {

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

const RegisteredPolicy registered("HEFT", heft, true);

}  // namespace

}  // namespace cosoc
