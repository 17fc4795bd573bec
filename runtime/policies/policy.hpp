/// Scheduling policies: which ready task goes to which device.
///
/// A policy is a pure function: its result depends on nothing but its arguments, so it is tested without threads, and a
/// simulated run repeats exactly. Devices work on what they were assigned in the order of assignment.
#pragma once

#include <cstddef>
#include <span>
#include <string_view>
#include <vector>

#include "cost/cost.hpp"
#include "device/result.hpp"

namespace cosoc {

/// A task whose inputs are made.
struct ReadyTask {
  std::size_t task = 0;  // row of the cost table
  /// Upward rank: the expected time from the task's start to the end of the graph along the longest path, with costs
  /// averaged over the devices that may run each task.
  Time rank{};
};

/// What a policy sees of a device.
struct DeviceState {
  Time available_at{};  // when everything assigned so far is expected to end; never before now
  bool usable = true;   // false: quarantined
};

struct Assignment {
  std::size_t task = 0;
  std::size_t device = 0;
  Time expected_end{};

  bool operator==(const Assignment&) const = default;
};

/// What a policy remembers from one round to the next.
struct PolicyState {
  std::size_t next_device = 0;

  bool operator==(const PolicyState&) const = default;
};

struct Decision {
  std::vector<Assignment> assignments;  // in the order in which the devices shall take them
  PolicyState state;
};

/// Assigns every ready task to a usable device whose cost is given. A task that has no such device is left out.
using PolicyFunction = Decision (*)(const PolicyState& state, std::span<const ReadyTask> ready,
                                    std::span<const DeviceState> devices, const CostTable& costs);

struct Policy {
  std::string_view name;
  PolicyFunction decide;
};

/// Round robin: each task to the next device in turn that may run it.
Decision round_robin(const PolicyState&, std::span<const ReadyTask>, std::span<const DeviceState>, const CostTable&);
/// Earliest finish time, in the order in which tasks became ready.
Decision earliest_finish_time(const PolicyState&, std::span<const ReadyTask>, std::span<const DeviceState>,
                              const CostTable&);
/// Earliest finish time, highest upward rank first.
Decision heft_rt(const PolicyState&, std::span<const ReadyTask>, std::span<const DeviceState>, const CostTable&);

/// The policy with this name; an unknown name gives an error that lists the known ones.
Result<Policy> find_policy(std::string_view name);

}  // namespace cosoc
