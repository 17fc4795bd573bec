/// Graph construction and which tensors share memory.
#include <catch2/catch.hpp>

#include "scheduler/memory_plan.hpp"
#include "scheduler/plan.hpp"
#include "support.hpp"

using namespace cosoc;

namespace {

const auto probe = std::make_shared<test::ProbeKernel>();

TensorType floats(std::int64_t count) { return {DType::float32, {count}}; }

}  // namespace

TEST_CASE("a chain needs two slots besides its ends, the larger of their users in size") {
  Graph graph("chain");
  auto tensor = graph.input("x", floats(1));
  for (int i = 0; i < 6; ++i) tensor = graph.add("n" + std::to_string(i), probe, {tensor}, floats(10 + i));
  graph.output(graph.add("last", probe, {tensor}, floats(1)));
  REQUIRE(graph.check());
  const MemoryPlan plan = plan_memory(graph, true);
  // n2 may take the memory of n0, because n1 has ended when n2 starts.
  CHECK(plan.slot_of == std::vector<std::size_t>{0, 1, 2, 1, 2, 1, 2, 3});
  CHECK(plan.bytes == std::vector<std::size_t>{4, 4 * 14, 4 * 15, 4});
  CHECK(plan_memory(graph, false).bytes.size() == 8);
}

TEST_CASE("parallel branches share nothing, however their nodes are ordered") {
  Graph graph("branches");
  const auto x = graph.input("x", floats(4));
  const auto a1 = graph.add("a1", probe, {x}, floats(4));
  const auto b1 = graph.add("b1", probe, {x}, floats(4));
  const auto a2 = graph.add("a2", probe, {a1}, floats(4));
  const auto b2 = graph.add("b2", probe, {b1}, floats(4));
  graph.output(graph.add("sum", probe, {a2, b2}, floats(4)));
  const MemoryPlan plan = plan_memory(graph, true);
  CHECK(plan.bytes.size() == 6);
}

TEST_CASE("feature maps with padding keep memory of their own, which stays zero") {
  Graph graph("padded");
  const TensorType padded{DType::int8, {1, 1, 2, 3}};
  auto tensor = graph.input("x", padded);
  for (int i = 0; i < 4; ++i) tensor = graph.add("n" + std::to_string(i), probe, {tensor}, padded);
  graph.output(tensor);
  CHECK(plan_memory(graph, true).bytes == std::vector<std::size_t>(5, 32));
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
