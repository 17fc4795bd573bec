/// Batches: samples that run at the same time, on lanes of one model.
#include <atomic>
#include <catch2/catch.hpp>
#include <cstring>
#include <thread>

#include "cosoc/client.hpp"
#include "support.hpp"

using namespace cosoc;
using namespace std::chrono_literals;

namespace {

constexpr std::size_t samples = 6;
const TensorType number{DType::float32, {1, 1}};

struct Ran {
  Status status;
  std::vector<std::byte> output;
};

/// A run of as many samples as `input` has, over outputs of 0x55.
Ran run(Model& model, std::span<const std::byte> input) {
  const Graph& graph = model.graph();
  const auto bytes_of = [&graph](std::size_t tensor) { return graph.tensors()[tensor].type.dense_bytes(); };
  Ran ran;
  ran.output.assign(input.size() / bytes_of(graph.inputs()[0]) * bytes_of(graph.outputs()[0]), std::byte{0x55});
  const std::span<std::byte> output = ran.output;
  ran.status = model.run({&input, 1}, {&output, 1});
  return ran;
}

std::vector<std::byte> random_bytes(std::size_t count) {
  const auto floats = test::random_floats(count / 4 + 1, 11);
  std::vector<std::byte> bytes(count);
  std::memcpy(bytes.data(), floats.data(), count);
  return bytes;
}

Model load(Session session, Graph graph) {
  graph.allow_any_batch();
  auto model = session.load(std::move(graph));
  if (!model) FAIL(model.error().message);
  return *model;
}

Time duration(const RunReport& report) { return report.end - report.start; }

/// Four times the input, one number for each sample; negative ones fail.
Graph make_doubling() {
  const auto twice = [](std::span<const TensorView> from, std::span<const TensorView> to) {
    const float value = *from[0].as<float>();
    std::this_thread::sleep_for(1ms);
    if (value < 0) return Status(failure("negative"));
    *to[0].as<float>() = 2 * value;
    return Status();
  };
  Graph graph("doubling");
  const auto kernel = make_user_kernel("twice", twice, 1);
  const Tensor half = graph.add("half", kernel, {graph.input("x", number)}, number);
  graph.output(graph.add("whole", kernel, {half}, number, {.output = "y"}));
  return graph;
}

std::vector<float> floats(std::span<const std::byte> bytes) {
  std::vector<float> values(bytes.size() / sizeof(float));
  std::memcpy(values.data(), bytes.data(), bytes.size());
  return values;
}

}  // namespace

TEST_CASE("samples of a batch share two engines: the bits of each alone, in half the time") {
  const auto soc = test::make_two_engines();
  const Session session = test::open(soc, test::make_faulty_platform(soc, {}), {.shard = false});
  Model model = load(session, test::make_convolution_graph(24));
  const std::size_t bytes = model.graph().tensors()[model.graph().inputs()[0]].type.dense_bytes();
  const auto input = random_bytes(samples * bytes);
  std::vector<std::byte> expected;
  for (std::size_t i = 0; i < samples; ++i) {
    const Ran alone = run(model, std::span(input).subspan(i * bytes, bytes));
    REQUIRE(alone.status);
    expected.insert(expected.end(), alone.output.begin(), alone.output.end());
  }
  const Time one = duration(model.report());
  const Time begin = model.report().end;
  const Ran all = run(model, input);
  REQUIRE(all.status);
  CHECK(all.output == expected);
  const double share = static_cast<double>((model.report().end - begin).count()) / static_cast<double>(one.count());
  CHECK(share < 0.6 * samples);
  CHECK(share > 0.4 * samples);

  // What the run left is that of the last sample.
  std::vector<std::byte> last(bytes);
  REQUIRE(model.tensor("x", last));
  CHECK(std::ranges::equal(last, std::span(input).last(bytes)));
  last.resize(expected.size() / samples);
  REQUIRE(model.tensor(model.graph().tensors()[model.graph().outputs()[0]].name, last));
  CHECK(std::ranges::equal(last, std::span(expected).last(last.size())));
}

TEST_CASE("samples of a batch run on several cores at a time") {
  auto session = Session::open({.memory_bytes = 1 << 20, .cpu_cores = 2});
  REQUIRE(session);
  // A call returns when a second one has begun.
  std::atomic<int> begun = 0;
  const auto meet = [&begun](std::span<const TensorView> from, std::span<const TensorView> to) {
    const auto end = std::chrono::steady_clock::now() + 20s;
    for (++begun; begun < 2; std::this_thread::sleep_for(1ms)) {
      if (std::chrono::steady_clock::now() > end) return Status(failure("alone"));
    }
    *to[0].as<float>() = *from[0].as<float>();
    return Status();
  };
  Graph graph("meeting");
  graph.output(graph.add("meet", make_user_kernel("meet", meet, 1'000'000'000), {graph.input("x", number)}, number));
  Model model = load(*session, std::move(graph));
  const std::vector<float> x = {1, 2};
  const Ran all = run(model, std::as_bytes(std::span(x)));
  if (!all.status) FAIL(all.status.error().message);
  CHECK(floats(all.output) == x);
}

TEST_CASE("a sample that fails ends its batch, and leaves the outputs of those before it") {
  auto session = Session::open({.memory_bytes = 1 << 20, .cpu_cores = 4});
  REQUIRE(session);
  Model model = load(*session, make_doubling());
  const float untouched = floats(std::vector<std::byte>(4, std::byte{0x55}))[0];
  for (std::size_t bad = 0; bad < 7; ++bad) {
    std::vector<float> x(7, 3.0F);
    x[bad] = -1.0F;
    const Ran ran = run(model, std::as_bytes(std::span(x)));
    REQUIRE_FALSE(ran.status);
    CHECK_THAT(ran.status.error().message, Catch::Contains("negative"));
    std::vector<float> expected(bad, 12.0F);
    expected.resize(7, untouched);
    CHECK(floats(ran.output) == expected);
    std::vector<std::byte> y(4);
    CHECK_FALSE(model.tensor("y", y));
    const std::vector<float> good = {5, 6};
    CHECK(floats(run(model, std::as_bytes(std::span(good))).output) == std::vector<float>{20, 24});
    REQUIRE(model.tensor("y", y));
    CHECK(floats(y)[0] == 24.0F);
  }
}

TEST_CASE("batches take as many lanes as fit device memory") {
  const std::size_t one = 64 << 10;
  auto session = Session::open({.memory_bytes = 3 * one, .cpu_cores = 4});
  REQUIRE(session);
  const TensorType wide{DType::float32, {1, static_cast<std::int64_t>(one / 8)}};  // and the result beside it
  Graph graph("wide");
  graph.output(graph.add("probe", std::make_shared<test::ProbeKernel>(), {graph.input("x", wide)}, wide));
  Model model = load(*session, std::move(graph));
  const auto values = test::random_floats(one / 8 * 9, 3);
  const Ran all = run(model, std::as_bytes(std::span(values)));
  REQUIRE(all.status);
  const auto found = floats(all.output);
  REQUIRE(found.size() == values.size());
  for (std::size_t i = 0; i < found.size(); ++i) REQUIRE(found[i] == values[i] + 1.0F);
}
