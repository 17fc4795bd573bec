/// Policies against schedules worked out by hand, and what must hold for every decision.
#include <algorithm>
#include <catch2/catch.hpp>
#include <random>
#include <set>

#include "cosoc/session.hpp"
#include "policies/policy.hpp"

using namespace cosoc;

namespace {

/// Rows are tasks, columns devices; a negative time means that the task may not run there.
CostTable make_costs(const std::vector<std::vector<int>>& rows) {
  CostTable costs(rows.size(), rows.front().size());
  for (std::size_t task = 0; task < rows.size(); ++task) {
    for (std::size_t device = 0; device < rows[task].size(); ++device) {
      if (rows[task][device] >= 0) costs.set(task, device, Time(rows[task][device]));
    }
  }
  return costs;
}

std::vector<DeviceState> idle_devices(std::size_t count, Time now = Time{}) {
  return std::vector<DeviceState>(count, DeviceState{now, true});
}

Assignment to(std::size_t task, std::size_t device, int end) { return {task, device, Time(end)}; }

}  // namespace

TEST_CASE("an unknown policy is refused with the names of the known ones") {
  CHECK(policy_names() == std::vector<std::string_view>{"RR", "EFT", "HEFT_RT"});
  const auto found = find_policy("HEFT");
  REQUIRE_FALSE(found);
  CHECK(found.error().message == "no scheduling policy \"HEFT\"; there are RR, EFT, HEFT_RT");
  for (const auto name : policy_names()) CHECK(find_policy(name)->name == name);
}

TEST_CASE("round robin takes the devices in turn, skips those that may not, and remembers where it was") {
  const CostTable costs = make_costs({{10, 1, 1}, {10, 1, -1}, {10, -1, -1}, {10, 1, 1}});
  const auto devices = idle_devices(3);
  const std::vector<ReadyTask> ready = {{0, {}}, {1, {}}, {2, {}}, {3, {}}};
  const Decision decision = round_robin({}, ready, devices, costs);
  CHECK(decision.assignments == std::vector{to(0, 0, 10), to(1, 1, 1), to(2, 0, 20), to(3, 1, 2)});
  CHECK(decision.state.next_device == 2);
  const Decision next = round_robin(decision.state, std::span(ready).first(1), devices, costs);
  CHECK(next.assignments == std::vector{to(0, 2, 1)});
}

TEST_CASE("EFT counts what a device still has to do") {
  const CostTable costs = make_costs({{10, 4}, {10, 4}, {10, 4}, {3, 3}});
  // Device 1 is free from 3 on: ends 7 and 11 beat or lose against 10 on device 0; equal ends take the first device.
  const std::vector<DeviceState> devices = {{Time(0), true}, {Time(3), true}};
  const std::vector<ReadyTask> ready = {{0, {}}, {1, {}}, {2, {}}, {3, {}}};
  const Decision decision = earliest_finish_time({}, ready, devices, costs);
  CHECK(decision.assignments == std::vector{to(0, 1, 7), to(1, 0, 10), to(2, 1, 11), to(3, 0, 13)});
}

TEST_CASE("HEFT_RT gives the longest path the first choice") {
  const CostTable costs = make_costs({{10, 4}, {10, 4}, {10, 4}});
  const std::vector<ReadyTask> ready = {{0, Time(5)}, {1, Time(50)}, {2, Time(5)}};
  const Decision decision = heft_rt({}, ready, idle_devices(2), costs);
  CHECK(decision.assignments == std::vector{to(1, 1, 4), to(0, 1, 8), to(2, 0, 10)});
}

TEST_CASE("a quarantined device gets nothing, and a task without a device is left out") {
  const CostTable costs = make_costs({{10, 1}, {-1, 1}});
  const std::vector<DeviceState> devices = {{Time(0), true}, {Time(0), false}};
  const std::vector<ReadyTask> ready = {{1, {}}, {0, {}}};
  for (const auto name : policy_names()) {
    const Decision decision = find_policy(name)->decide({}, ready, devices, costs);
    CHECK(decision.assignments == std::vector{to(0, 0, 10)});
  }
}

TEST_CASE("every policy assigns each task once, where it may run, with consistent ends, and is pure") {
  std::mt19937 random(20);
  for (int round = 0; round < 300; ++round) {
    const std::size_t device_count = 1 + random() % 6;
    const std::size_t task_count = 1 + random() % 20;
    std::vector<std::vector<int>> rows(task_count, std::vector<int>(device_count));
    std::vector<ReadyTask> ready;
    for (std::size_t task = 0; task < task_count; ++task) {
      for (int& cost : rows[task]) cost = random() % 3 == 0 ? -1 : static_cast<int>(random() % 100);
      ready.push_back({task, Time(random() % 1000)});
    }
    std::vector<DeviceState> devices;
    for (std::size_t i = 0; i < device_count; ++i) devices.push_back({Time(random() % 200), random() % 5 != 0});
    const CostTable costs = make_costs(rows);
    const PolicyState state{random() % device_count};

    for (const auto name : policy_names()) {
      const Policy policy = *find_policy(name);
      const Decision decision = policy.decide(state, ready, devices, costs);
      const Decision again = policy.decide(state, ready, devices, costs);
      CHECK(decision.assignments == again.assignments);
      CHECK(decision.state == again.state);
      std::set<std::size_t> assigned;
      std::vector<DeviceState> after = devices;
      for (const Assignment& assignment : decision.assignments) {
        CHECK(assigned.insert(assignment.task).second);
        REQUIRE(costs.at(assignment.task, assignment.device));
        CHECK(devices[assignment.device].usable);
        after[assignment.device].available_at += *costs.at(assignment.task, assignment.device);
        CHECK(after[assignment.device].available_at == assignment.expected_end);
      }
      for (std::size_t task = 0; task < task_count; ++task) {
        bool possible = false;
        for (std::size_t i = 0; i < device_count; ++i) possible |= devices[i].usable && costs.at(task, i).has_value();
        CHECK(assigned.contains(task) == possible);
      }
    }
  }
}
