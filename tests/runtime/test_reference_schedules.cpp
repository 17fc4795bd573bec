/// ETF and HEFT against the textbook's algorithms, written down as slowly as the textbook has them.
#include <algorithm>
#include <array>
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

/// A graph with costs; task i leads to some tasks behind it, with what moving its results there takes.
struct CostGraph {
  std::vector<std::uint32_t> domains;  // by device
  std::vector<std::vector<Time>> costs = {};
  std::vector<std::vector<std::size_t>> successors = {};
  std::vector<std::vector<Time>> movements = {};
  std::vector<Time> arrivals = {};

  void add(std::vector<Time> cost, Time arrival = {}) {
    costs.push_back(std::move(cost));
    successors.emplace_back();
    movements.emplace_back();
    arrivals.push_back(arrival);
  }
  void connect(std::size_t from, std::size_t to, Time movement = {}) {
    successors[from].push_back(to);
    movements[from].push_back(movement);
  }
  /// With ranks.
  std::vector<GraphTask> tasks() const {
    std::vector<GraphTask> result;
    for (std::size_t i = 0; i < costs.size(); ++i) {
      result.push_back({costs[i], successors[i], movements[i], arrivals[i], {}});
    }
    find_ranks(result, domains);
    return result;
  }
};

CostGraph random_graph(std::mt19937& random) {
  CostGraph graph{.domains = {}};
  const std::size_t tasks = 1 + random() % 40;
  const std::size_t devices = 1 + random() % 5;
  for (std::size_t device = 0; device < devices; ++device) graph.domains.push_back(random() % 3);
  for (std::size_t task = 0; task < tasks; ++task) {
    std::vector<Time> costs;
    for (std::size_t device = 0; device < devices; ++device) {
      costs.push_back(random() % 4 == 0 ? impossible : Time(1 + random() % 100));
    }
    costs[random() % devices] = Time(1 + random() % 100);
    graph.add(std::move(costs), Time(random() % 50));
  }
  for (std::size_t task = 0; task < tasks; ++task) {
    for (std::size_t next = task + 1; next < tasks; ++next) {
      if (random() % 8 == 0) graph.connect(task, next, Time(random() % 2 == 0 ? 0 : random() % 80));
    }
  }
  return graph;
}

/// Tries every start from the time at which the inputs are there, one nanosecond after the other.
std::vector<Placement> textbook_heft(const CostGraph& graph) {
  const std::size_t count = graph.costs.size();
  const auto tasks = graph.tasks();
  std::vector<Placement> placements(count);
  std::vector<bool> placed(count);
  for (std::size_t step = 0; step < count; ++step) {
    std::size_t task = count;
    for (std::size_t i = 0; i < count; ++i) {
      if (!placed[i] && (task == count || tasks[i].rank > tasks[task].rank)) task = i;
    }
    std::optional<Time> best;
    Placement chosen;
    for (std::uint32_t device = 0; device < graph.domains.size(); ++device) {
      const Time cost = graph.costs[task][device];
      if (cost == impossible) continue;
      Time start = graph.domains[device] == 0 ? Time{} : graph.arrivals[task];
      for (std::size_t i = 0; i < count; ++i) {
        for (std::size_t k = 0; k < graph.successors[i].size(); ++k) {
          if (graph.successors[i][k] != task) continue;
          REQUIRE(placed[i]);
          const std::uint32_t from = placements[i].device;
          const bool moves = graph.domains[from] != graph.domains[device];
          start =
              std::max(start, placements[i].start + graph.costs[i][from] + (moves ? graph.movements[i][k] : Time{}));
        }
      }
      const auto collides = [&] {
        for (std::size_t i = 0; i < count; ++i) {
          if (!placed[i] || placements[i].device != device) continue;
          const Time end = placements[i].start + graph.costs[i][device];
          if (start < end && placements[i].start < start + cost) return true;
        }
        return false;
      };
      while (collides()) ++start;
      if (best && start + cost >= *best) continue;
      best = start + cost;
      chosen = {device, start};
    }
    placements[task] = chosen;
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
    REQUIRE(schedule_heft(graph.tasks(), graph.domains) == textbook_heft(graph));
  }
}

TEST_CASE("HEFT gives the ranks and the schedule of the example in its paper") {
  // Three processors without common memory, ten tasks; times by 300, so that all averages are whole.
  CostGraph graph{.domains = {0, 1, 2}};
  const std::vector<std::array<int, 3>> costs = {{14, 16, 9}, {13, 19, 18}, {11, 13, 19}, {13, 8, 17},  {12, 13, 10},
                                                 {13, 16, 9}, {7, 15, 11},  {5, 11, 14},  {18, 12, 20}, {21, 7, 16}};
  for (const auto& row : costs) graph.add({300 * Time(row[0]), 300 * Time(row[1]), 300 * Time(row[2])});
  const std::vector<std::array<int, 3>> edges = {{1, 2, 18}, {1, 3, 12}, {1, 4, 9},   {1, 5, 11},  {1, 6, 14},
                                                 {2, 8, 19}, {2, 9, 16}, {3, 7, 23},  {4, 8, 27},  {4, 9, 23},
                                                 {5, 9, 13}, {6, 8, 15}, {7, 10, 17}, {8, 10, 11}, {9, 10, 13}};
  for (const auto& [from, to, movement] : edges) graph.connect(from - 1, to - 1, 300 * Time(movement));
  std::vector<Time> ranks;
  const auto tasks = graph.tasks();
  for (const GraphTask& task : tasks) ranks.push_back(task.rank);
  const std::vector<int> thirds = {324, 231, 240, 240, 207, 190, 128, 107, 133, 44};
  std::vector<Time> expected_ranks;
  for (const int third : thirds) expected_ranks.push_back(100 * Time(third));
  CHECK(ranks == expected_ranks);
  const std::vector<std::pair<std::uint32_t, int>> places = {{2, 0},  {0, 27}, {2, 9},  {1, 18}, {2, 28},
                                                             {1, 26}, {2, 38}, {0, 57}, {1, 56}, {1, 73}};
  std::vector<Placement> expected;
  for (const auto& [device, start] : places) expected.push_back({device, 300 * Time(start)});
  CHECK(schedule_heft(tasks, graph.domains) == expected);
}

TEST_CASE("ranks count movement on the average over pairs of different devices that may run the tasks") {
  const auto rank = [](std::vector<std::uint32_t> domains, std::vector<Time> from, std::vector<Time> to) {
    CostGraph graph{.domains = std::move(domains)};
    graph.add(std::move(from), Time(1000));
    graph.add(std::move(to));
    graph.connect(0, 1, Time(60));
    return graph.tasks()[0].rank;
  };
  const Time t{10};
  CHECK(rank({0, 0, 1}, {t, t, t}, {t, t, t}) == Time(20 + 40));
  CHECK(rank({0, 0, 1}, {t, t, impossible}, {impossible, impossible, t}) == Time(20 + 60));
  CHECK(rank({0, 0, 1}, {impossible, impossible, t}, {impossible, impossible, t}) == Time(20));
  CHECK(rank({1, 1, 1}, {t, t, t}, {t, t, t}) == Time(20));
}

TEST_CASE("HEFT puts a short task into the gap before a join") {
  CostGraph graph{.domains = {0, 0}};
  const std::vector<std::array<int, 2>> costs = {{2, 9}, {9, 5}, {6, 6}, {3, 9}, {1, 2}};
  for (const auto& row : costs) graph.add({Time(row[0]), Time(row[1])});
  graph.connect(0, 2);
  graph.connect(1, 2);
  const std::vector<Placement> expected = {{0, Time(0)}, {1, Time(0)}, {0, Time(5)}, {0, Time(2)}, {1, Time(5)}};
  CHECK(schedule_heft(graph.tasks(), graph.domains) == expected);
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
