/// Runs: right values in every order and on every device, repeatable traces, and accelerators that break.
#include <unistd.h>

#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <thread>

#include "support.hpp"

using namespace cosoc;
using namespace test;

namespace {

std::vector<std::byte> bytes_of(const std::vector<float>& values) {
  const auto bytes = std::as_bytes(std::span(values));
  return {bytes.begin(), bytes.end()};
}

std::vector<std::byte> run_signal(Session session, RunReport* report = nullptr) {
  auto model = session.load(make_signal_graph());
  if (!model) FAIL(model.error().message);
  const auto input = bytes_of(random_floats(4 * 64 * 2, 9));
  auto result = run(*model, input);
  if (report != nullptr) *report = model->report();
  return result;
}

std::vector<std::byte> signal_on_cpu() {
  auto session = Session::open({.mode = Mode::cpu, .memory_bytes = 1 << 20, .cpu_cores = 2});
  REQUIRE(session);
  return run_signal(*session);
}

/// Whether two runs of the signal graph agree: the transforms of CPU and accelerator round differently.
bool same_signal(const std::vector<std::byte>& a, const std::vector<std::byte>& b) {
  if (a.size() != b.size()) return false;
  const std::span first(reinterpret_cast<const float*>(a.data()), a.size() / sizeof(float));
  const std::span second(reinterpret_cast<const float*>(b.data()), b.size() / sizeof(float));
  const float bound = 1e-6F * std::ranges::max(second);
  return std::ranges::equal(first, second, [bound](float x, float y) { return std::abs(x - y) <= bound; });
}

const TaskRecord& find(const RunReport& report, const std::string& node) {
  for (const TaskRecord& task : report.tasks) {
    if (task.node == node) return task;
  }
  FAIL("no record of " << node);
  return report.tasks.front();
}

/// A random graph of probes and what its output must be: the number of paths into each node, plus the input.
struct RandomGraph {
  Graph graph{"random"};
  std::vector<std::vector<std::size_t>> inputs;  // by node; nodes, or `count` for the graph's input
  float expected = 0;
};

RandomGraph make_random_graph(unsigned seed, const std::shared_ptr<const Kernel>& kernel) {
  std::mt19937 random(seed);
  RandomGraph result;
  // Different sizes, so that memory is shared among unequal tensors; every element has the same value.
  const auto type = [&] { return TensorType{DType::float32, {static_cast<std::int64_t>(1 + random() % 40)}}; };
  std::vector<Tensor> tensors = {result.graph.input("x", {DType::float32, {1}})};
  std::vector<float> values = {3.0F};
  const std::size_t count = 2 + random() % 25;
  for (std::size_t node = 0; node < count; ++node) {
    std::vector<Tensor> inputs;
    float sum = 1.0F;
    for (std::size_t i = 0; i <= random() % 3; ++i) {
      const std::size_t chosen = random() % tensors.size();
      inputs.push_back(tensors[chosen]);
      sum += values[chosen];
    }
    const NamedType output{"t" + std::to_string(node), type()};
    tensors.push_back(result.graph.add_node("n" + std::to_string(node), kernel, inputs, {&output, 1}).front());
    values.push_back(sum);
  }
  // The last node sums all that nobody read, so that everything counts.
  std::vector<Tensor> leaves;
  result.expected = 1.0F;
  for (std::size_t i = 1; i < tensors.size(); ++i) {
    if (!result.graph.tensors()[tensors[i].index].readers.empty()) continue;
    leaves.push_back(tensors[i]);
    result.expected += values[i];
  }
  const NamedType output{"y", {DType::float32, {7}}};
  result.graph.output(result.graph.add_node("last", kernel, leaves, {&output, 1}).front());
  return result;
}

void check_random_graphs(Session session, unsigned seeds) {
  for (unsigned seed = 0; seed < seeds; ++seed) {
    const auto kernel = std::make_shared<ProbeKernel>();
    RandomGraph random = make_random_graph(seed, kernel);
    auto model = session.load(std::move(random.graph));
    REQUIRE(model);
    // Twice: memory holds the first run's values when the second begins.
    for (int i = 1; i <= 2; ++i) {
      const auto result = run(*model, bytes_of({3.0F}));
      CHECK(result == bytes_of(std::vector<float>(7, random.expected)));
      CHECK(kernel->runs == i * static_cast<int>(model->graph().nodes().size()));
    }
    for (std::size_t node = 0; node < model->graph().nodes().size(); ++node) {
      for (const std::size_t input : model->graph().nodes()[node].inputs) {
        const auto producer = model->graph().tensors()[input].producer;
        if (producer) CHECK(model->report().tasks[*producer].end <= model->report().tasks[node].start);
      }
    }
  }
}

}  // namespace

TEST_CASE("random graphs on threads give the right values") {
  for (const auto policy : policy_names()) {
    auto session = Session::open({.policy = std::string(policy), .memory_bytes = 1 << 20, .cpu_cores = 4});
    REQUIRE(session);
    check_random_graphs(*session, 15);
  }
}

TEST_CASE("random graphs in simulated time give the right values") {
  for (const auto policy : policy_names()) {
    check_random_graphs(open(make_soc(), make_faulty_platform(make_soc(), {}), {.policy = std::string(policy)}), 15);
  }
}

TEST_CASE("accelerators give the results of the CPU, in simulated time and behind threads") {
  const auto expected = signal_on_cpu();
  RunReport report;
  SECTION("simulated") {
    CHECK(same_signal(run_signal(open(make_soc(), make_faulty_platform(make_soc(), {}), {.policy = "RR"}), &report),
                      expected));
  }
  SECTION("threads") {
    auto soc = make_soc();
    soc.cpu_cores = 1;
    CHECK(same_signal(run_signal(open(soc, make_threaded_platform(soc, {}), {.policy = "RR"}), &report), expected));
    CHECK(find(report, "product").device == "zip0");
    CHECK(find(report, "product").commands == 1);
    CHECK(find(report, "product").cycles > 0);
  }
  CHECK(report.quarantined.empty());
}

TEST_CASE("an absent accelerator's work runs on the CPU, and the report says why") {
  SoCDescription soc = make_soc();
  soc.accelerators.clear();
  RunReport report;
  CHECK(same_signal(run_signal(open(soc, make_faulty_platform(soc, {})), &report), signal_on_cpu()));
  CHECK(find(report, "forward").device.starts_with("cpu"));
  CHECK(find(report, "forward").reason == "there is no fft");
  CHECK(find(report, "power").reason.empty());
}

TEST_CASE("a broken accelerator is tried twice, then quarantined, and the work is done") {
  struct Case {
    Fault fault;
    int times;
    std::string reason;  // part of the record's
    bool quarantined;
  };
  const auto [fault, times, reason, quarantined] = GENERATE(
      Case{Fault::hangs, 1, "second attempt after: did not finish within its deadline", false},
      Case{Fault::hangs, 2, "did not finish within its deadline", true},
      Case{Fault::fails, 1, "second attempt after: ", false}, Case{Fault::fails, 2, "failed with error 1", true},
      Case{Fault::loses_interrupt, 1, "interrupt was lost", false},
      Case{Fault::stays_in_reset, 1, "then its reset failed", true},
      Case{Fault::dma_error, 1, "memory answered a read with an error", false},
      Case{Fault::dma_error, 2, "memory answered a read with an error", true}, Case{Fault::spurious, 1, "", false},
      Case{Fault::late_interrupt, 1, "interrupt was lost", false},
      Case{Fault::reconfigured, 1, "another bitstream was loaded", true},
      Case{Fault::wrong_configuration, 1, "another bitstream was loaded", true});
  // One core and a graph that lists the accelerator first in turn: RR starts at the accelerator's turn.
  SoCDescription soc = make_soc();
  soc.cpu_cores = 1;
  const FaultPlan plan{"zip0", fault, times};
  const SessionOptions options{.policy = "RR", .minimum_deadline = std::chrono::milliseconds(400)};
  RunReport report;
  CAPTURE(static_cast<int>(fault), times);
  SECTION("simulated") {
    CHECK(same_signal(run_signal(open(soc, make_faulty_platform(soc, plan), options), &report), signal_on_cpu()));
  }
  SECTION("threads") {
    CHECK(same_signal(run_signal(open(soc, make_threaded_platform(soc, plan), options), &report), signal_on_cpu()));
  }
  const TaskRecord& record = find(report, "product");
  CHECK(record.device == (quarantined ? "cpu0" : "zip0"));
  CHECK_THAT(record.reason, Catch::Contains(reason));
  REQUIRE(report.quarantined.size() == (quarantined ? 1 : 0));
  if (quarantined) CHECK_THAT(report.quarantined[0], Catch::StartsWith("zip0: ") && Catch::Contains(reason));
}

TEST_CASE("an accelerator that cannot take a call for its values is as good as before") {
  // It multiplies weights of -127..127, which it finds only when the call comes.
  SoCDescription soc = make_soc();
  soc.cpu_cores = 1;
  Session session = GENERATE_COPY(as<Session>(), open(soc, make_faulty_platform(soc, {})),
                                  open(soc, make_threaded_platform(soc, {})));
  const auto client = session.client();
  const TensorType image{DType::int8, {1, 8, 8, 16}};
  const std::vector<TensorType> inputs = {
      image, {DType::int8, {16, 1, 1, 16}}, {DType::int32, {16}}, {DType::float32, {16}}};
  const auto kernel = make_kernel(
      "conv2d",
      {{"stride", {1, 1}}, {"padding", {0, 0, 0, 0}}, {"dilation", {1, 1}}, {"groups", 1}, {"clamp", {-128, 127}}});
  const auto call = client->prepare(kernel, inputs, {image}, {.name = {}, .devices = {"c2d"}});
  if (!call) FAIL(call.error().message);
  std::vector<Buffer> buffers;
  for (const TensorType& type : inputs) buffers.push_back(*client->allocate(type));
  const auto y = client->allocate(image);
  std::ranges::fill(buffers[1].as<std::int8_t>(), std::int8_t{-128});
  const auto refused = client->call(*call, buffers, {&*y, 1});
  REQUIRE_FALSE(refused);
  CHECK_THAT(refused.error().message, Catch::Contains("a weight is -128"));
  for (const DeviceStatus& status : session.device_status()) CHECK(status.condition == DeviceCondition::working);
  std::ranges::fill(buffers[1].as<std::int8_t>(), std::int8_t{-127});
  CHECK(client->call(*call, buffers, {&*y, 1}));
}

TEST_CASE("memory that an accelerator may still write to, because its reset failed, is not used again") {
  const SoCDescription soc = make_soc();
  const Fault fault = GENERATE(Fault::hangs, Fault::stays_in_reset);
  const FaultPlan plan{"zip0", fault, 2};
  const SessionOptions options{.minimum_deadline = std::chrono::milliseconds(20)};
  Session session = GENERATE_COPY(as<Session>(), open(soc, make_faulty_platform(soc, plan), options),
                                  open(soc, make_threaded_platform(soc, plan), options));
  const auto client = session.client();
  const TensorType type{DType::complex64, {256}};
  const auto call = client->prepare(make_kernel("zip", {{"operation", "mul"}}), {type, type}, {type},
                                    {.name = {}, .devices = {"zip"}, .wrapped = true});
  REQUIRE(call);
  std::vector<std::byte> memory(type.bytes());
  const auto outside = client->wrap(type, memory);
  REQUIRE(outside);
  const std::size_t before = session.state()->platform().memory().bytes_in_use();
  CHECK_FALSE(client->call(*call, {*outside, *outside}, {*outside}));
  const std::size_t left = session.state()->platform().memory().bytes_in_use() - before;
  CHECK(left == (fault == Fault::stays_in_reset ? 3 * type.bytes() : 0));
}

TEST_CASE("without a CPU to fall back on, the error names the node and the accelerator") {
  SoCDescription soc = make_soc();
  soc.cpu_cores = 0;
  Session session = open(soc, make_faulty_platform(soc, {"fft0", Fault::hangs, 2}));
  const TensorType type{DType::complex64, {64}};
  Graph graph("fft_only");
  graph.output(fft(graph, "transform", graph.input("x", type), FFTDirection::forward, {.devices = {"fft"}}));
  auto model = session.load(std::move(graph));
  REQUIRE(model);
  const auto input = bytes_of(random_floats(128, 1));
  std::vector<std::byte> result(512, std::byte{7});
  const std::span<const std::byte> from = input;
  const std::span<std::byte> to = result;
  const auto done = model->run({&from, 1}, {&to, 1});
  REQUIRE_FALSE(done);
  CHECK_THAT(done.error().message, Catch::StartsWith("node transform: no device is left") && Catch::Contains("fft0"));
  CHECK(result == std::vector<std::byte>(512, std::byte{7}));
}

TEST_CASE("zero devices, a node without a device, and short memory are refused with a reason") {
  auto none = Session::open({.cpu_cores = 0});
  REQUIRE_FALSE(none);
  CHECK_THAT(none.error().message, Catch::Contains("no device"));

  auto session = Session::open({.memory_bytes = 4096, .cpu_cores = 1});
  REQUIRE(session);
  Graph graph("lonely");
  graph.output(
      fft(graph, "transform", graph.input("x", {DType::complex64, {64}}), FFTDirection::forward, {.devices = {"fft"}}));
  const auto lonely = session->load(std::move(graph));
  REQUIRE_FALSE(lonely);
  CHECK(lonely.error().message == "node transform (fft): no device can run it: there is no fft");

  const auto large = session->load(make_signal_graph());
  REQUIRE_FALSE(large);
  CHECK_THAT(large.error().message, Catch::StartsWith("graph signal does not fit device memory"));
}

TEST_CASE("a kernel that fails ends the run with its node's name, and the session goes on") {
  auto session = Session::open({.memory_bytes = 1 << 20, .cpu_cores = 2});
  REQUIRE(session);
  Graph graph("failing");
  graph.output(graph.add("broken", std::make_shared<ProbeKernel>(true), {graph.input("x", {DType::float32, {1}})},
                         {DType::float32, {1}}));
  auto model = session->load(std::move(graph));
  REQUIRE(model);
  std::array<std::byte, 4> buffer{};
  const std::span<const std::byte> from = buffer;
  const std::span<std::byte> to = buffer;
  const auto done = model->run({&from, 1}, {&to, 1});
  REQUIRE_FALSE(done);
  CHECK_THAT(done.error().message, Catch::StartsWith("node broken on cpu") && Catch::EndsWith("told to fail"));
  CHECK_FALSE(model->tensor("x", buffer));
  check_random_graphs(*session, 1);
}

TEST_CASE("mode model takes time, computes nothing, and says so") {
  Session session = open(make_soc(), make_faulty_platform(make_soc(), {}), {.mode = Mode::model, .policy = "RR"});
  auto model = session.load(make_signal_graph());
  REQUIRE(model);
  const auto result = run(*model, bytes_of(random_floats(4 * 64 * 2, 9)));
  CHECK(result == std::vector<std::byte>(4 * 64 * sizeof(float)));
  for (const TaskRecord& task : model->report().tasks) CHECK(task.end > task.start);
  CHECK(model->report().end == model->report().tasks.back().end);
  std::vector<std::byte> bytes(4 * 64 * sizeof(float));
  const auto tensor = model->tensor("power", bytes);
  REQUIRE_FALSE(tensor);
  CHECK(tensor.error().message == "tensor power has no value: mode model computes none");
}

TEST_CASE("models of one session run at the same time, and runs of one model one after the other") {
  const auto expected = signal_on_cpu();
  const auto check = [&](Session session) {
    auto shared = session.load(make_signal_graph());
    REQUIRE(shared);
    std::atomic<int> wrong = 0;
    std::vector<std::thread> threads;
    for (int i = 0; i < 3; ++i) {
      threads.emplace_back([&, session]() mutable {
        const auto input = bytes_of(random_floats(4 * 64 * 2, 9));
        auto own = session.load(make_signal_graph());
        for (int count = 0; count < 5; ++count) {
          for (Model* model : {&*own, &*shared}) {
            std::vector<std::byte> result(expected.size());
            const std::span<const std::byte> from = input;
            const std::span<std::byte> to = result;
            if (!model->run({&from, 1}, {&to, 1}) || !same_signal(result, expected)) ++wrong;
          }
        }
      });
    }
    for (auto& thread : threads) thread.join();
    CHECK(wrong == 0);
  };
  check(open(make_soc(), make_faulty_platform(make_soc(), {})));
  check(open(make_soc(), make_threaded_platform(make_soc(), {})));
}
