/// ETF and HEFT against the textbook's algorithms, written down as slowly as the textbook has them.
#include <algorithm>
#include <catch2/catch.hpp>
#include <numeric>
#include <random>

#include "policies/heft.hpp"
#include "policies/sorting.hpp"
#include "policy_support.hpp"

using namespace cosoc;
using namespace test;

namespace {

/// Compares every task that is left with every device, in every step.
std::vector<Assignment> textbook_etf(const OwnedRound& round) {
  std::vector<Assignment> result;
  std::vector<Time> free_at;
  for (const DeviceState& device : round.devices) free_at.push_back(device.available_at);
  std::vector<std::uint32_t> left(round.tasks.size());
  std::iota(left.begin(), left.end(), 0U);
  while (true) {
    std::optional<Assignment> best;
    for (const std::uint32_t task : left) {
      for (std::uint32_t device = 0; device < free_at.size(); ++device) {
        const ReadyTask& ready = round.tasks[task];
        if (!round.devices[device].usable || ready.costs[device] == impossible) continue;
        const bool moves = ready.domain != round.devices[device].domain;
        const Time end = free_at[device] + ready.costs[device] + (moves ? ready.movement : Time{});
        const bool better = !best || end < best->expected_end ||
                            (end == best->expected_end && ready.rank > round.tasks[best->task].rank);
        if (better) best = Assignment{task, device, end, {}};
      }
    }
    if (!best) return result;
    free_at[best->device] = best->expected_end;
    result.push_back(*best);
    std::erase(left, best->task);
  }
}

/// A graph with costs; task i leads to some tasks behind it.
struct CostGraph {
  std::vector<std::vector<Time>> costs;
  std::vector<std::vector<std::size_t>> successors;
  std::vector<Time> ranks;

  std::vector<GraphTask> tasks() const {
    std::vector<GraphTask> result;
    for (std::size_t i = 0; i < costs.size(); ++i) result.push_back({costs[i], successors[i], ranks[i]});
    return result;
  }
};

void find_ranks(CostGraph& graph) {
  graph.ranks.resize(graph.costs.size());
  for (std::size_t task = graph.costs.size(); task-- > 0;) {
    Time total{};
    int count = 0;
    for (const Time cost : graph.costs[task]) {
      if (cost == impossible) continue;
      total += cost;
      ++count;
    }
    Time after{};
    for (const std::size_t next : graph.successors[task]) after = std::max(after, graph.ranks[next]);
    graph.ranks[task] = total / count + after;
  }
}

CostGraph random_graph(std::mt19937& random) {
  CostGraph graph;
  const std::size_t tasks = 1 + random() % 40;
  const std::size_t devices = 1 + random() % 5;
  for (std::size_t task = 0; task < tasks; ++task) {
    auto& costs = graph.costs.emplace_back();
    for (std::size_t device = 0; device < devices; ++device) {
      costs.push_back(random() % 4 == 0 ? impossible : Time(1 + random() % 100));
    }
    costs[random() % devices] = Time(1 + random() % 100);
    graph.successors.emplace_back();
    for (std::size_t next = task + 1; next < tasks; ++next) {
      if (random() % 8 == 0) graph.successors[task].push_back(next);
    }
  }
  find_ranks(graph);
  return graph;
}

/// Tries every start from the time at which the inputs are there, one nanosecond after the other.
std::vector<Placement> textbook_heft(const CostGraph& graph) {
  const std::size_t count = graph.costs.size();
  std::vector<Placement> placements(count);
  std::vector<bool> placed(count);
  for (std::size_t step = 0; step < count; ++step) {
    std::size_t task = count;
    for (std::size_t i = 0; i < count; ++i) {
      if (!placed[i] && (task == count || graph.ranks[i] > graph.ranks[task])) task = i;
    }
    Time ready{};
    for (std::size_t i = 0; i < count; ++i) {
      if (std::ranges::find(graph.successors[i], task) == graph.successors[i].end()) continue;
      REQUIRE(placed[i]);
      ready = std::max(ready, placements[i].start + graph.costs[i][placements[i].device]);
    }
    std::optional<Time> best;
    for (std::uint32_t device = 0; device < graph.costs[task].size(); ++device) {
      const Time cost = graph.costs[task][device];
      if (cost == impossible) continue;
      const auto collides = [&](Time start) {
        for (std::size_t i = 0; i < count; ++i) {
          if (!placed[i] || placements[i].device != device) continue;
          const Time end = placements[i].start + graph.costs[i][device];
          if (start < end && placements[i].start < start + cost) return true;
        }
        return false;
      };
      Time start = ready;
      while (collides(start)) ++start;
      if (best && start + cost >= *best) continue;
      best = start + cost;
      placements[task] = {device, start};
    }
    placed[task] = true;
  }
  return placements;
}

}  // namespace

TEST_CASE("ETF decides as the textbook does") {
  std::mt19937 random(7);
  for (int count = 0; count < 200; ++count) {
    const OwnedRound round = random_round(random, count < 190 ? 60 : 300);
    REQUIRE(decide("ETF", round) == textbook_etf(round));
  }
}

TEST_CASE("HEFT schedules as the textbook does") {
  std::mt19937 random(8);
  for (int count = 0; count < 200; ++count) {
    const CostGraph graph = random_graph(random);
    const auto tasks = graph.tasks();
    REQUIRE(schedule_heft(tasks, graph.costs[0].size()) == textbook_heft(graph));
  }
}

TEST_CASE("HEFT puts a short task into the gap before a join") {
  CostGraph graph;
  graph.costs = {{Time(2), Time(9)}, {Time(9), Time(5)}, {Time(6), Time(6)}, {Time(3), Time(9)}, {Time(1), Time(2)}};
  graph.successors = {{2}, {2}, {}, {}, {}};
  find_ranks(graph);
  const auto tasks = graph.tasks();
  const std::vector<Placement> expected = {{0, Time(0)}, {1, Time(0)}, {0, Time(5)}, {0, Time(2)}, {1, Time(5)}};
  CHECK(schedule_heft(tasks, 2) == expected);
}

TEST_CASE("keys are sorted as a stable sort does, few and many, close and far apart") {
  std::mt19937_64 random(3);
  for (const std::size_t count : {0, 1, 63, 64, 65, 1000}) {
    for (const int bits : {0, 1, 11, 12, 40, 64}) {
      std::vector<std::uint64_t> keys(count);
      for (auto& key : keys) key = bits == 0 ? 5 : random() >> (64 - bits);
      std::vector<std::uint32_t> indices(count);
      std::iota(indices.begin(), indices.end(), 0U);
      auto expected = indices;
      std::ranges::stable_sort(expected, {}, [&](std::uint32_t index) { return keys[index]; });
      sort_by_key(keys, indices);
      REQUIRE(indices == expected);
    }
  }
}
