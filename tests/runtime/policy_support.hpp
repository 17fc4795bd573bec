/// Rounds for tests of policies: tasks, devices, and the storage of the costs.
#pragma once

#include <filesystem>
#include <random>
#include <string>
#include <vector>

#include "policies/policy.hpp"

namespace test {

/// A round that owns what it consists of.
struct OwnedRound {
  std::vector<std::vector<cosoc::Time>> costs;
  std::vector<cosoc::ReadyTask> tasks;
  std::vector<cosoc::DeviceState> devices;

  cosoc::Round view() const { return {tasks, devices}; }
};

/// Rows are tasks, columns devices; a negative time means that the task may not run there. All devices are idle at 0.
inline OwnedRound make_round(const std::vector<std::vector<int>>& rows) {
  OwnedRound round;
  for (const auto& row : rows) {
    auto& costs = round.costs.emplace_back();
    for (const int cost : row) costs.push_back(cost < 0 ? cosoc::impossible : cosoc::Time(cost));
    round.tasks.push_back({.costs = costs.data()});
  }
  round.devices.resize(rows.front().size(), {.running_order = cosoc::impossible});
  return round;
}

/// Tasks that may not run everywhere, quarantined devices, and whatever else a round may have.
inline OwnedRound random_round(std::mt19937& random, std::size_t max_tasks) {
  const std::size_t device_count = 1 + random() % 6;
  std::vector<std::vector<int>> rows(1 + random() % max_tasks, std::vector<int>(device_count));
  // Few different times, so that many are equal.
  const int range = random() % 2 == 0 ? 5 : 1000;
  for (auto& row : rows) {
    for (int& cost : row) cost = random() % 4 == 0 ? -1 : static_cast<int>(random() % range);
  }
  OwnedRound round = make_round(rows);
  for (auto& device : round.devices) {
    device.available_at = cosoc::Time(random() % 200);
    device.usable = random() % 5 != 0;
    device.domain = random() % 2;
    device.watts = 1.0 + random() % 3;
  }
  for (auto& task : round.tasks) {
    task.rank = cosoc::Time(random() % range);
    task.latest_end = random() % 2 == 0 ? cosoc::impossible : cosoc::Time(random() % 2000);
    task.movement = cosoc::Time(random() % 3 * 10);
    task.domain = random() % 2;
    task.planned_device = random() % 2 == 0 ? cosoc::no_device : static_cast<std::uint32_t>(random() % device_count);
    task.application = random() % 3;
    task.weight = 1.0 + random() % 4;
  }
  return round;
}

inline std::vector<cosoc::Assignment> decide(const std::string& policy, const OwnedRound& round,
                                             cosoc::PolicyState& state) {
  std::vector<cosoc::Assignment> result;
  cosoc::find_policy(policy)->decide(round.view(), state, result);
  return result;
}

inline std::vector<cosoc::Assignment> decide(const std::string& policy, const OwnedRound& round) {
  cosoc::PolicyState state;
  return decide(policy, round, state);
}

inline cosoc::Assignment to(std::uint32_t task, std::uint32_t device, int end, int order = 0) {
  return {task, device, cosoc::Time(end), cosoc::Time(order)};
}

/// The shared object of policy_plugin.c, or of static_policy_plugin.c.
inline std::string plugin_path(const std::string& name = "test_policy") {
  return (std::filesystem::read_symlink("/proc/self/exe").parent_path() / "../lib" / (name + ".so")).string();
}

}  // namespace test
