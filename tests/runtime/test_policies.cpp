/// Policies against schedules worked out by hand, and what must hold for every decision.
#include <algorithm>
#include <catch2/catch.hpp>
#include <filesystem>
#include <optional>
#include <random>
#include <set>

#include "cosoc/session.hpp"
#include "policy_support.hpp"

using namespace cosoc;
using namespace test;

TEST_CASE("an unknown policy is refused with the names of the known ones") {
  std::string known;
  for (const auto name : policy_names()) known.append(known.empty() ? "" : ", ").append(name);
  const auto found = find_policy("LIFO");
  REQUIRE_FALSE(found);
  CHECK(found.error().message ==
        "no scheduling policy \"LIFO\"; there are " + known + ", or give the path of a shared object with one");
  for (const auto name : policy_names()) CHECK(find_policy(std::string(name))->name == name);
  for (const std::string name : {"RR", "RANDOM", "MET", "EFT", "ETF", "HEFT_RT", "HEFT", "ENERGY", "FAIR"}) {
    CHECK(std::ranges::count(policy_names(), name) == 1);
  }
}

TEST_CASE("round robin takes the devices in turn, skips those that may not, and remembers where it was") {
  auto round = make_round({{10, 1, 1}, {10, 1, -1}, {10, -1, -1}, {10, 1, 1}});
  PolicyState state;
  CHECK(decide("RR", round, state) == std::vector{to(0, 0, 10), to(1, 1, 1), to(2, 0, 20), to(3, 1, 2)});
  round.tasks.resize(1);
  CHECK(decide("RR", round, state) == std::vector{to(0, 2, 1)});
}

TEST_CASE("RANDOM depends on its seed, and takes every possible device equally often") {
  const auto round = make_round(std::vector<std::vector<int>>(3000, {1, -1, 1, 1}));
  PolicyState one{.random = 1};
  PolicyState same{.random = 1};
  PolicyState other{.random = 2};
  const auto first = decide("RANDOM", round, one);
  CHECK(first == decide("RANDOM", round, same));
  CHECK(first != decide("RANDOM", round, other));
  CHECK(first != decide("RANDOM", round, one));
  for (const std::uint32_t device : {0, 2, 3}) {
    const auto count = std::ranges::count(first, device, &Assignment::device);
    CHECK(count > 900);
    CHECK(count < 1100);
  }
}

TEST_CASE("MET takes the fastest device however long its queue is, and shares among equals") {
  auto round = make_round({{10, 4, 4}, {10, 4, 4}, {10, 4, 4}, {3, 3, 9}});
  round.devices[1].available_at = Time(100);
  CHECK(decide("MET", round) == std::vector{to(0, 2, 4), to(1, 2, 8), to(2, 2, 12), to(3, 0, 3)});
}

TEST_CASE("EFT counts what a device still has to do") {
  // Device 1 is free from 3 on: ends 7 and 11 beat or lose against 10 on device 0; equal ends take the first device.
  auto round = make_round({{10, 4}, {10, 4}, {10, 4}, {3, 3}});
  round.devices[1].available_at = Time(3);
  CHECK(decide("EFT", round) == std::vector{to(0, 1, 7), to(1, 0, 10), to(2, 1, 11), to(3, 0, 13)});
}

TEST_CASE("EFT counts what moving the data takes") {
  auto round = make_round({{10, 4}, {10, 4}});
  round.devices[1].domain = 1;
  round.tasks[0].movement = round.tasks[1].movement = Time(8);
  round.tasks[1].domain = 1;
  CHECK(decide("EFT", round) == std::vector{to(0, 0, 10), to(1, 1, 4)});
}

TEST_CASE("ETF places what ends first first, of equal ends the higher rank") {
  auto round = make_round({{9, 20}, {5, 6}, {5, 5}});
  round.tasks[2].rank = Time(7);
  CHECK(decide("ETF", round) == std::vector{to(2, 0, 5), to(1, 1, 6), to(0, 0, 14)});
}

TEST_CASE("HEFT_RT gives the longest path the first choice") {
  auto round = make_round({{10, 4}, {10, 4}, {10, 4}});
  round.tasks[0].rank = round.tasks[2].rank = Time(5);
  round.tasks[1].rank = Time(50);
  CHECK(decide("HEFT_RT", round) == std::vector{to(1, 1, 4), to(0, 1, 8), to(2, 0, 10)});
}

TEST_CASE("HEFT follows the plan while its device works, and places the rest by their ends") {
  auto round = make_round({{10, 4}, {10, 4}, {10, 4}});
  round.tasks[0].planned_device = 0;
  round.tasks[0].planned_start = Time(30);
  round.tasks[1].planned_device = 1;
  round.tasks[1].planned_start = Time(2);
  CHECK(decide("HEFT", round) == std::vector{to(0, 0, 10, 30), to(1, 1, 4, 2), to(2, 1, 8, 4)});
  round.devices[1].usable = false;
  CHECK(decide("HEFT", round) == std::vector{to(0, 0, 10, 30), to(1, 0, 20, 10), to(2, 0, 30, 20)});
}

TEST_CASE("ENERGY saves as long as the deadline holds, the most urgent first") {
  // 10 s at 1 W or 4 s at 5 W.
  auto round = make_round({{10, 4}, {10, 4}, {10, 4}});
  round.devices[1].watts = 5.0;
  CHECK(decide("ENERGY", round) == std::vector{to(0, 0, 10), to(1, 0, 20), to(2, 0, 30)});
  round.tasks[0].latest_end = Time(12);
  round.tasks[1].latest_end = Time(11);
  round.tasks[2].latest_end = Time(2);
  // Task 2 cannot make it and ends as early as possible; 1 can be cheap, then 0 cannot.
  CHECK(decide("ENERGY", round) == std::vector{to(2, 1, 4), to(1, 0, 10), to(0, 1, 8)});
}

TEST_CASE("FAIR orders a device's work by what each application has had, by its weight") {
  auto round = make_round(std::vector<std::vector<int>>(6, {10}));
  for (std::size_t task = 0; task < 6; ++task) round.tasks[task].application = task < 4 ? 1 : 2;
  for (std::size_t task = 0; task < 4; ++task) round.tasks[task].weight = 2.0;
  PolicyState state;
  CHECK(decide("FAIR", round, state) == std::vector{to(0, 0, 10, 0), to(1, 0, 20, 5), to(2, 0, 30, 10),
                                                    to(3, 0, 40, 15), to(4, 0, 50, 0), to(5, 0, 60, 10)});
  // A newcomer starts at the tag of what runs, not at 0: the others lose nothing for having been there.
  round.tasks.resize(1);
  round.tasks[0].application = 3;
  round.devices[0].running_order = Time(10);
  CHECK(decide("FAIR", round, state) == std::vector{to(0, 0, 10, 10)});
  // And it begins there also when nothing runs any more.
  round.tasks[0].application = 4;
  round.devices[0].running_order = impossible;
  CHECK(decide("FAIR", round, state) == std::vector{to(0, 0, 10, 10)});
}

TEST_CASE("FAIR knows weights of applications that have one task at a time") {
  // Each submits the next one when it has had the last; meanwhile the device takes another's.
  const std::vector<double> weights = {4, 1, 1, 1};
  PolicyState state;
  std::vector<std::pair<Time, std::size_t>> queue;  // by start tag
  std::vector<int> turns(weights.size());
  Time running = impossible;
  const auto submit = [&](std::size_t application) {
    auto round = make_round({{10}});
    round.tasks[0].application = application + 1;
    round.tasks[0].weight = weights[application];
    round.devices[0].running_order = running;
    queue.emplace_back(decide("FAIR", round, state)[0].order, application);
  };
  for (std::size_t application = 0; application < weights.size(); ++application) submit(application);
  std::optional<std::size_t> had;
  for (int turn = 0; turn < 600; ++turn) {
    const auto next = std::ranges::min_element(queue, {}, [](const auto& entry) { return entry.first; });
    const std::size_t application = next->second;
    running = next->first;
    queue.erase(next);
    ++turns[application];
    if (had) submit(*had);
    had = application;
  }
  CAPTURE(turns);
  // Every second turn, which is the most; the others share the rest.
  CHECK(turns[0] > 280);
  for (std::size_t application = 1; application < weights.size(); ++application) {
    CHECK(turns[application] > 80);
    CHECK(turns[application] < 120);
  }
}

TEST_CASE("FAIR remembers applications only while they are ahead") {
  PolicyState state;
  auto round = make_round({{10}});
  for (std::uint64_t application = 1; application <= 10000; ++application) {
    round.tasks[0].application = application;
    round.devices[0].running_order = Time(application * 10);
    decide("FAIR", round, state);
  }
  CHECK(state.applications.size() < 200);
}

TEST_CASE("a quarantined device gets nothing, and a task without a device is left out") {
  auto round = make_round({{-1, 1}, {10, 1}});
  round.devices[1].usable = false;
  for (const auto name : policy_names()) {
    const auto assignments = decide(std::string(name), round);
    CAPTURE(name);
    REQUIRE(assignments.size() == 1);
    CHECK(assignments[0] == to(1, 0, 10));
  }
}

TEST_CASE("every policy assigns each task once, where it may run, with consistent ends, and is pure") {
  std::mt19937 random(20);
  for (int count = 0; count < 300; ++count) {
    const OwnedRound round = random_round(random, 100);
    for (const auto name : policy_names()) {
      PolicyState state{.words = {random() % round.devices.size()}};
      PolicyState same = state;
      const auto assignments = decide(std::string(name), round, state);
      REQUIRE(assignments == decide(std::string(name), round, same));
      REQUIRE(state == same);
      std::set<std::uint32_t> assigned;
      std::vector<Time> after;
      for (const DeviceState& device : round.devices) after.push_back(device.available_at);
      for (const auto& [task, device, end, order] : assignments) {
        REQUIRE(assigned.insert(task).second);
        REQUIRE(round.tasks[task].costs[device] < impossible);
        REQUIRE(round.devices[device].usable);
        const bool moves = round.tasks[task].domain != round.devices[device].domain;
        after[device] += round.tasks[task].costs[device] + (moves ? round.tasks[task].movement : Time{});
        REQUIRE(after[device] == end);
      }
      for (std::uint32_t task = 0; task < round.tasks.size(); ++task) {
        bool possible = false;
        for (std::size_t i = 0; i < round.devices.size(); ++i) {
          possible |= round.devices[i].usable && round.tasks[task].costs[i] < impossible;
        }
        REQUIRE(assigned.contains(task) == possible);
      }
    }
  }
}

TEST_CASE("a policy from a shared object sees the round, keeps its state, and answers") {
  const auto policy = find_policy(plugin_path());
  if (!policy) FAIL(policy.error().message);
  CHECK(policy->name == "test_policy");
  CHECK_FALSE(policy->is_static);
  CHECK(find_policy(plugin_path("test_static_policy"))->is_static);
  auto round = make_round({{10, 4}, {-1, 4}, {10, 4}});
  round.devices[0].available_at = Time(100);
  PolicyState state;
  std::vector<Assignment> assignments;
  policy->decide(round.view(), state, assignments);
  // It takes the last possible device, and counts its rounds in `order`.
  CHECK(assignments == std::vector{to(0, 1, 4, 1), to(1, 1, 8, 1), to(2, 1, 12, 1)});
  round.devices[1].usable = false;
  assignments.clear();
  policy->decide(round.view(), state, assignments);
  CHECK(assignments == std::vector{to(0, 0, 110, 2), to(2, 0, 120, 2)});
}

TEST_CASE("a shared object that is none, or has no policy, is refused with the reason") {
  const auto missing = find_policy("/nowhere/policy.so");
  REQUIRE_FALSE(missing);
  CHECK_THAT(missing.error().message, Catch::StartsWith("cannot load the scheduling policy /nowhere/policy.so: "));
  const auto other = find_policy("/proc/self/exe");
  REQUIRE_FALSE(other);
  CHECK_THAT(other.error().message, Catch::StartsWith("cannot load the scheduling policy"));
  const auto library = find_policy((std::filesystem::path(plugin_path()).parent_path() / "libcosoc.so").string());
  REQUIRE_FALSE(library);
  CHECK_THAT(library.error().message, Catch::EndsWith("has no function cosoc_policy; see cosoc/policy.h"));
}
