/// Graph construction and which tensors share memory.
#include <algorithm>
#include <catch2/catch.hpp>
#include <random>

#include "scheduler/memory_plan.hpp"
#include "scheduler/plan.hpp"
#include "support.hpp"

using namespace cosoc;

namespace {

const auto probe = std::make_shared<test::ProbeKernel>();

TensorType floats(std::int64_t count) { return {DType::float32, {count}}; }

/// A tensor of so many blocks of device memory.
TensorType blocks(std::int64_t count) { return floats(count * 16); }

/// Nodes one after the other, each of which reads the one before and maybe another of the last six, with tensors of
/// random lengths.
Graph random_chain(std::uint32_t seed) {
  std::mt19937 random(seed);
  Graph graph("random");
  std::vector<Tensor> tensors = {graph.input("x", blocks(1))};
  for (std::size_t i = 1; i <= 30; ++i) {
    const std::size_t other = i - 1 - random() % std::min<std::size_t>(i, 6);
    tensors.push_back(graph.add("n" + std::to_string(i), probe, {tensors[i - 1], tensors[other]},
                                blocks(1 + static_cast<std::int64_t>(random() % 40))));
  }
  graph.output(tensors.back());
  return graph;
}

/// Nodes that read any of those before.
Graph random_graph(std::uint32_t seed) {
  std::mt19937 random(seed);
  Graph graph("random");
  std::vector<Tensor> tensors = {graph.input("x", blocks(1))};
  for (std::size_t i = 1; i <= 20; ++i) {
    const auto any = [&] { return tensors[i - 1 - random() % std::min<std::size_t>(i, 4)]; };
    tensors.push_back(graph.add("n" + std::to_string(i), probe, {any(), any()},
                                blocks(1 + static_cast<std::int64_t>(random() % 40))));
  }
  graph.output(tensors.back());
  return graph;
}

/// Runs the nodes in a random order that their inputs allow, and checks that nobody's bytes are overwritten before
/// their last reader.
void check_contents(const Graph& graph, const MemoryPlan& plan, std::mt19937& random) {
  std::vector<std::size_t> arena(plan.arena_bytes, graph.tensors().size());  // whose each byte is
  const auto is_whole = [&](std::size_t tensor) {
    if (!plan.places[tensor]) return true;
    const auto first = arena.begin() + static_cast<std::ptrdiff_t>(*plan.places[tensor]);
    const auto bytes = static_cast<std::ptrdiff_t>(graph.tensors()[tensor].type.bytes());
    return std::all_of(first, first + bytes, [&](std::size_t owner) { return owner == tensor; });
  };
  std::vector<bool> done(graph.nodes().size());
  for (std::size_t count = 0; count < graph.nodes().size(); ++count) {
    std::vector<std::size_t> ready;
    for (std::size_t node = 0; node < graph.nodes().size(); ++node) {
      const bool fed = std::ranges::all_of(graph.nodes()[node].inputs, [&](std::size_t input) {
        const auto producer = graph.tensors()[input].producer;
        return !producer || done[*producer];
      });
      if (fed && !done[node]) ready.push_back(node);
    }
    const std::size_t node = ready[random() % ready.size()];
    const std::size_t output = graph.nodes()[node].outputs[0];
    std::fill_n(arena.begin() + static_cast<std::ptrdiff_t>(*plan.places[output]), graph.tensors()[output].type.bytes(),
                output);
    // It writes while it reads.
    for (const std::size_t input : graph.nodes()[node].inputs) REQUIRE(is_whole(input));
    done[node] = true;
  }
  for (const std::size_t output : graph.outputs()) REQUIRE(is_whole(output));
}

/// Most bytes of outputs and intermediate tensors that exist at a time, node after node.
std::size_t largest_live_set(const Graph& graph) {
  std::size_t largest = 0;
  for (std::size_t node = 0; node < graph.nodes().size(); ++node) {
    std::size_t live = 0;
    for (std::size_t tensor = 0; tensor < graph.tensors().size(); ++tensor) {
      const auto& info = graph.tensors()[tensor];
      const bool is_output = std::ranges::find(graph.outputs(), tensor) != graph.outputs().end();
      const bool later = is_output || info.producer == node || (!info.readers.empty() && info.readers.back() >= node);
      if (info.producer && *info.producer <= node && later) live += info.type.bytes();
    }
    largest = std::max(largest, live);
  }
  return largest;
}

double share_of_live_set(const Graph& graph) {
  return static_cast<double>(plan_memory(graph).arena_bytes) / static_cast<double>(largest_live_set(graph));
}

}  // namespace

TEST_CASE("a chain takes no more than two neighbours do, its output included") {
  Graph graph("chain");
  auto tensor = graph.input("x", blocks(1));
  for (int i = 0; i < 6; ++i) tensor = graph.add("n" + std::to_string(i), probe, {tensor}, blocks(10 + i));
  graph.output(graph.add("last", probe, {tensor}, blocks(1)));
  REQUIRE(graph.check());
  const MemoryPlan plan = plan_memory(graph);
  CHECK_FALSE(plan.places[0]);
  // The largest first: n5, then n4 behind it, then n3 in the place of n5.
  CHECK(plan.places[6] == 0);
  CHECK(plan.places[5] == 64 * 15);
  CHECK(plan.places[4] == 0);
  CHECK(plan.places[7] == 64 * 15);
  CHECK(plan.arena_bytes == 64 * 29);
}

TEST_CASE("parallel branches share nothing, however their nodes are ordered") {
  Graph graph("branches");
  const auto x = graph.input("x", blocks(1));
  const auto a1 = graph.add("a1", probe, {x}, blocks(1));
  const auto b1 = graph.add("b1", probe, {x}, blocks(1));
  const auto a2 = graph.add("a2", probe, {a1}, blocks(1));
  const auto b2 = graph.add("b2", probe, {b1}, blocks(1));
  graph.output(graph.add("sum", probe, {a2, b2}, blocks(1)));
  // Where they have met, the sum takes the place of one that both have left.
  CHECK(plan_memory(graph).arena_bytes == 4 * 64);
}

TEST_CASE("outputs keep their bytes to the end") {
  Graph graph("outputs");
  const auto first = graph.add("first", probe, {graph.input("x", blocks(1))}, blocks(2));
  graph.output(first);
  auto tensor = graph.add("second", probe, {first}, blocks(2));
  for (int i = 0; i < 3; ++i) tensor = graph.add("n" + std::to_string(i), probe, {tensor}, blocks(2));
  graph.output(tensor);
  CHECK(plan_memory(graph).arena_bytes == 3 * 128);
}

TEST_CASE("whatever the order of the nodes, no tensor is overwritten while it is needed") {
  std::mt19937 random(3);
  for (std::uint32_t seed = 0; seed < 30; ++seed) {
    for (const Graph& graph : {random_graph(seed), random_chain(seed)}) {
      REQUIRE(graph.check());
      const MemoryPlan plan = plan_memory(graph);
      for (int run = 0; run < 5; ++run) check_contents(graph, plan, random);
    }
  }
}

TEST_CASE("the arena is hardly larger than the largest live set") {
  double sum = 0;
  constexpr std::uint32_t count = 100;
  for (std::uint32_t seed = 0; seed < count; ++seed) {
    const double share = share_of_live_set(random_chain(seed));
    CHECK(share < 1.45);
    sum += share;
  }
  CHECK(sum / count < 1.1);
}

TEST_CASE("networks with shortcuts take what is live") {
  Graph graph("residual");
  auto tensor = graph.input("x", blocks(1));
  for (const std::int64_t size : {64, 64, 32, 32, 16, 16, 8}) {
    const std::string name = std::to_string(graph.nodes().size());
    const auto narrow = graph.add("a" + name, probe, {tensor}, blocks(size));
    const auto wide = graph.add("b" + name, probe, {narrow}, blocks(size));
    tensor = graph.add("sum" + name, probe, {wide, tensor}, blocks(size));
  }
  graph.output(tensor);
  CHECK(share_of_live_set(graph) == 1.0);
}

TEST_CASE("feature maps take their padding along") {
  Graph graph("padded");
  const TensorType padded{DType::int8, {1, 1, 5, 3}};
  auto tensor = graph.input("x", padded);
  for (int i = 0; i < 4; ++i) tensor = graph.add("n" + std::to_string(i), probe, {tensor}, padded);
  graph.output(tensor);
  CHECK(plan_memory(graph).arena_bytes == 2 * 128);
}

TEST_CASE("host bytes of a feature map are dense, and storing clears the padding") {
  const TensorType type{DType::int8, {1, 1, 2, 3}};
  std::array<std::byte, 32> memory{};
  memory.fill(std::byte{9});
  const TensorView view{&type, {memory.data(), 0, memory.size()}, false};
  const std::array<std::byte, 6> host = {std::byte{1}, std::byte{2}, std::byte{3},
                                         std::byte{4}, std::byte{5}, std::byte{6}};
  store(view, host);
  CHECK(memory[2] == std::byte{3});
  CHECK(memory[3] == std::byte{0});
  CHECK(memory[15] == std::byte{0});
  CHECK(memory[16] == std::byte{4});
  std::array<std::byte, 6> back{};
  fetch(view, back);
  CHECK(back == host);
}

TEST_CASE("the first mistake of a construction is kept and named") {
  const auto message = [](auto build) {
    Graph graph("wrong");
    build(graph);
    const auto status = graph.check();
    REQUIRE_FALSE(status);
    return status.error().message;
  };
  CHECK(message([](Graph&) {}) == "graph wrong has no inputs");
  CHECK(message([](Graph& g) { g.input("x", floats(1)); }) == "graph wrong has no outputs");
  CHECK(message([](Graph& g) { g.input("x", floats(1)), g.input("x", floats(1)), g.input("", floats(1)); }) ==
        "graph wrong: there are two tensors named x");
  CHECK_THAT(message([](Graph& g) { g.input("x", floats(0)); }), Catch::Contains("tensor x: a shape needs lengths"));
  CHECK(message([](Graph& g) { g.constant("w", floats(2), {}); }) ==
        "graph wrong: constant w of type float32[2] takes 8 bytes; given are 0");
  CHECK(message([](Graph& g) { g.add("n", probe, {Graph("other").input("x", floats(1))}, floats(1)); }) ==
        "graph wrong: node n: input 0 is a tensor of another graph");
  CHECK_THAT(message([](Graph& g) {
               conv2d(g, "c", g.input("x", floats(1)), {}, {}, {}, {}, floats(1),
                      {.devices = {"cpu"}, .source = "m.py:7"});
             }),
             Catch::StartsWith("graph wrong: node c (m.py:7): input 1"));
  CHECK_THAT(message([](Graph& g) { transpose(g, "t", g.input("x", floats(1))); }),
             Catch::StartsWith("graph wrong: node t: "));
}
