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
  Time rank{};  // upward rank, see ReadyTask
};

/// Where and when a task runs; the graph begins at 0.
struct Placement {
  std::uint32_t device = 0;
  Time start{};

  bool operator==(const Placement&) const = default;
};

/// HEFT (Topcuoglu, Hariri and Wu, "Performance-effective and low-complexity task scheduling for heterogeneous
/// computing", IEEE TPDS 2002) on idle devices: in the order of upward ranks, each task goes to the device where it
/// ends first, into the first gap that is long enough. Equal ranks in the order of the graph, equal ends to the first
/// device. Takes time with the number of tasks times that of intervals behind each one's start, on every device.
std::vector<Placement> schedule_heft(std::span<const GraphTask> tasks, std::size_t devices);

}  // namespace cosoc
