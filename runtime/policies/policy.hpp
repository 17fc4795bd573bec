/// Scheduling policies: which device runs which ready task.
///
/// A policy is one file with one function that depends on nothing but its arguments: it reads no clock and keeps
/// nothing elsewhere, so that it can be tested without threads and gives the same schedule in every mode. The tests of
/// what must hold for every policy find it by themselves.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "device/platform.hpp"

namespace cosoc {

/// Cost of a task on a device that may not run it, and when a quarantined device is available. Two of them add up
/// without overflow; whatever is at least this never ends.
inline constexpr Time impossible = Time::max() / 4;

/// No device in particular.
inline constexpr std::uint32_t no_device = ~std::uint32_t{0};

/// A task whose inputs are made.
struct ReadyTask {
  /// Expected time by device; `impossible` where it may not run. Tasks of equal kernels and shapes share one row.
  const Time* costs = nullptr;
  /// Upward rank: the expected time from the task's start to the end of its graph along the longest path, with costs
  /// averaged over the devices that may run each task.
  Time rank{};
  /// When the task should have ended, so that its application meets its deadline; `impossible` without one.
  Time latest_end = impossible;
  /// What it adds to run the task on a device of another domain than where its inputs lie.
  Time movement{};
  std::uint32_t domain = 0;
  /// Device and start in the static schedule of its graph; `no_device` without one.
  std::uint32_t planned_device = no_device;
  Time planned_start{};
  /// Who submitted it: an identifier that is never used again, and the share of the SoC that it asks for.
  std::uint64_t application = 0;
  double weight = 1.0;
};

/// What a policy sees of a device.
struct DeviceState {
  Time available_at{};       // when everything assigned so far is expected to end; never before now
  bool usable = true;        // false: quarantined
  std::uint32_t domain = 0;  // what one device of a domain wrote, all others of it read at no cost
  double watts = 1.0;        // while it runs a task
  Time running_order{};      // `Assignment::order` of what it runs, or ran last when more waits; else `impossible`
};

struct Assignment {
  std::uint32_t task = 0;  // index among the ready tasks
  std::uint32_t device = 0;
  Time expected_end{};
  /// A device takes tasks of smaller order first, equal ones as they were assigned.
  Time order{};

  bool operator==(const Assignment&) const = default;
};

/// What a policy remembers from one round to the next, for each to use as it likes; a scheduler has one.
struct PolicyState {
  std::uint64_t random = 1;                                // for random numbers: the seed at first
  std::array<std::uint64_t, 8> words{};                    // 0 at first
  std::unordered_map<std::uint64_t, Time> applications{};  // empty at first

  bool operator==(const PolicyState&) const = default;
};

/// What there is to decide, ready tasks in the order in which they became ready.
struct Round {
  std::span<const ReadyTask> tasks;
  std::span<const DeviceState> devices;
};

/// Appends an assignment for each ready task, in the order in which the devices shall take them. A task that no usable
/// device may run is left out; one that is left out for another reason is offered again in the next round.
using PolicyFunction = std::function<void(const Round& round, PolicyState& state, std::vector<Assignment>& result)>;

struct Policy {
  std::string name;
  PolicyFunction decide;
  bool is_static = false;  // wants whole graphs scheduled before they run, see heft.hpp
};

/// Expected time of a task on a device, moving its data included; at least `impossible` where it may not run.
inline Time cost_on(const ReadyTask& task, const DeviceState& device, std::size_t index) {
  const std::int64_t moves = task.domain == device.domain ? 0 : -1;  // a mask: policies call this where branches count
  return task.costs[index] + Time(task.movement.count() & moves);
}

/// Makes a policy known by its name, for the life of the program: the one object of this in the policy's own file is
/// all that a new policy takes besides its function.
///
///     const RegisteredPolicy registered("RR", round_robin);
class RegisteredPolicy {
 public:
  using Function = void (*)(const Round& round, PolicyState& state, std::vector<Assignment>& result);

  RegisteredPolicy(const char* name, Function decide, bool is_static = false) noexcept;
  RegisteredPolicy(const RegisteredPolicy&) = delete;
  RegisteredPolicy& operator=(const RegisteredPolicy&) = delete;

 private:
  friend std::vector<const RegisteredPolicy*> registered_policies();
  friend std::vector<std::string_view> policy_names();
  friend Result<Policy> find_policy(const std::string& name);

  const char* name_;
  Function decide_;
  bool is_static_;
  const RegisteredPolicy* next_;
};

/// The policy with this name, or the one of a shared object when the name has a slash or ends in `.so`. Errors list the
/// known names, or say what the shared object lacks.
Result<Policy> find_policy(const std::string& name);

}  // namespace cosoc
