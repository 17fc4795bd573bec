/// HEFT: the static schedule of a whole graph whose costs are known before it runs.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "device/platform.hpp"

namespace cosoc {

/// A task of the graph. Tasks stand in a valid order: successors have larger indices.
struct GraphTask {
  std::span<const Time> costs;  // by device; `impossible` where it may not run, possible on one at least
  std::span<const std::size_t> successors;
  std::span<const Time> movements;  // by successor: until it has this task's results in another domain, see DeviceState
  Time arrival{};                   // until it has the graph's inputs, which lie in domain 0, in another domain
  Time rank{};                      // upward rank, see ReadyTask
};

/// Where and when a task runs; the graph begins at 0.
struct Placement {
  std::uint32_t device = 0;
  Time start{};

  bool operator==(const Placement&) const = default;
};

/// Fills in the upward ranks: the cost of a task on the average of its devices, and the longest of what follows, each
/// with its movement on the average over all pairs of different devices that the two tasks may have. `domains` by
/// device.
void find_ranks(std::span<GraphTask> tasks, std::span<const std::uint32_t> domains);

/// HEFT (Topcuoglu, Hariri and Wu, "Performance-effective and low-complexity task scheduling for heterogeneous
/// computing", IEEE TPDS 2002) on idle devices: in the order of upward ranks, each task goes to the device where it
/// ends first, into the first gap that is long enough from the time on when its inputs are there. Equal ranks in the
/// order of the graph, equal ends to the first device. Takes time with the number of tasks times that of intervals
/// behind each one's start, and with that of edges, on every device.
std::vector<Placement> schedule_heft(std::span<const GraphTask> tasks, std::span<const std::uint32_t> domains);

}  // namespace cosoc
