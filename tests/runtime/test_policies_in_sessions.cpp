/// What only a session can get wrong about a policy: deadlines, schedules of whole graphs, domains, plug-ins.
#include <catch2/catch.hpp>
#include <cmath>

#include "cosoc/client.hpp"
#include "cosoc/kernels.hpp"
#include "cosoc/task_graph.hpp"
#include "policy_support.hpp"
#include "scheduler/plan_schedule.hpp"
#include "support.hpp"

using namespace cosoc;
using namespace test;
using namespace std::chrono_literals;

namespace {

const TensorType signal = {DType::complex64, {1024}};

/// A transform that takes a given time on a CPU core.
class TimedKernel final : public Kernel {
 public:
  explicit TimedKernel(Time time) : time_(time) {}
  std::string_view name() const override { return "timed"; }
  Status check(std::span<const TensorType>, std::span<const TensorType>) const override { return {}; }
  Status run(std::span<const TensorView>, std::span<const TensorView>) const override { return {}; }
  const Kernel& on(std::string_view) const override { return *fft_; }
  Work work(std::span<const TensorType>, std::span<const TensorType>) const override {
    // 1 us for the call, and one operation in a nanosecond of a core's 1.2 GHz.
    return {.operations = static_cast<std::uint64_t>((time_ - 1us).count()), .operations_per_cycle = 1 / 1.2};
  }
  nlohmann::json attributes() const override { return nlohmann::json::object(); }

 private:
  Time time_;
  std::shared_ptr<const Kernel> fft_ = *kernels::fft(FFTDirection::forward);
};

/// A node of a graph: its time on a core, which nodes it follows, where it may run.
struct Step {
  std::string name;
  Time time;
  std::vector<std::size_t> after = {};
  std::vector<std::string> devices = {"cpu"};
};

Graph make_graph(const std::vector<Step>& steps) {
  Graph graph("steps");
  const Tensor x = graph.input("input", signal);
  std::vector<Tensor> made;
  for (const Step& step : steps) {
    std::vector<Tensor> inputs;
    for (const std::size_t before : step.after) inputs.push_back(made[before]);
    if (inputs.empty()) inputs.push_back(x);
    const NamedType output{step.name, signal};
    made.push_back(graph
                       .add_node(step.name, std::make_shared<TimedKernel>(step.time), inputs, {&output, 1},
                                 {.devices = step.devices})
                       .front());
  }
  for (const Tensor tensor : made) {
    if (graph.tensors()[tensor.index].readers.empty()) graph.output(tensor);
  }
  return graph;
}

SoCDescription make_soc_of(std::uint32_t cores, const std::string& port = "HP3") {
  SoCDescription soc = make_soc();
  soc.cpu_cores = cores;
  std::erase_if(soc.accelerators, [](const auto& accelerator) { return accelerator.kind != "fft"; });
  soc.accelerators[0].memory_ports = {port};
  return soc;
}

Session open_with(const std::string& policy, const SoCDescription& soc, Mode mode = Mode::model) {
  return open(soc, make_faulty_platform(soc, {}), {.mode = mode, .policy = policy});
}

/// Runs a model, whatever its inputs and outputs; the device of each node, and its start within the run.
std::vector<std::pair<std::string, Time>> run_steps(Model& model) {
  const std::vector<std::byte> input(signal.bytes());
  std::vector<std::vector<std::byte>> outputs(model.graph().outputs().size(), input);
  const std::span<const std::byte> from = input;
  const std::vector<std::span<std::byte>> to(outputs.begin(), outputs.end());
  const auto done = model.run({&from, 1}, to);
  if (!done) FAIL(done.error().message);
  std::vector<std::pair<std::string, Time>> places;
  for (const TaskRecord& task : model.report().tasks) {
    places.emplace_back(task.device, task.start - model.report().start);
  }
  return places;
}

std::vector<std::string> devices_of(Model& model) {
  std::vector<std::string> devices;
  for (const auto& [device, start] : run_steps(model)) devices.push_back(device);
  return devices;
}

/// What the transform takes on the accelerator.
Time time_on_fft(const SoCDescription& soc) {
  auto model = *open_with("EFT", soc).load(make_graph({{"only", 1ms, {}, {"fft"}}}));
  run_steps(model);
  return model.report().end - model.report().start;
}

using Names = std::vector<std::string>;

}  // namespace

TEST_CASE("ENERGY saves as long as the deadline of the model holds, in every run") {
  const SoCDescription soc = make_soc_of(1);
  // Slower on the core, by less than the accelerator takes more power.
  const Time fast = time_on_fft(soc);
  const Time slow = fast * 3 / 2;
  Session session = open_with("ENERGY", soc);
  const auto load = [&](std::size_t nodes, std::optional<Time> deadline) {
    std::vector<Step> steps = {{"a", slow, {}, {"cpu", "fft"}}, {"b", slow, {0}, {"cpu", "fft"}}};
    steps.resize(nodes);
    auto model = session.load(make_graph(steps), {.deadline = deadline});
    REQUIRE(model);
    return *model;
  };
  Model any = load(1, {});
  Model tight = load(1, slow - 1us);
  Model loose = load(1, slow);
  for (int count = 0; count < 3; ++count) {
    CHECK(devices_of(any) == Names{"cpu0"});
    CHECK(devices_of(tight) == Names{"fft0"});
    CHECK(devices_of(loose) == Names{"cpu0"});
  }
  // The first node leaves time for the second: what that takes on the average.
  Model second = load(2, slow + (slow + fast) / 2 - 1us);
  CHECK(devices_of(second) == Names{"fft0", "cpu0"});
  Model both = load(2, 2 * slow);
  CHECK(devices_of(both) == Names{"cpu0", "cpu0"});

  auto client = session.client();
  REQUIRE(client);
  auto x = client->allocate(signal);
  auto y = client->allocate(signal);
  REQUIRE((x && y));
  for (int count = 0; count < 2; ++count) {
    REQUIRE(tight.submit({*x}, {*y}).wait());
    CHECK(tight.report().tasks[0].device == "fft0");
    REQUIRE(any.submit({*x}, {*y}).wait());
    CHECK(any.report().tasks[0].device == "cpu0");
  }
}

TEST_CASE("ENERGY keeps the deadline of a client in its calls, and in every run of its graphs") {
  const SoCDescription soc = make_soc_of(1);
  const Time fast = time_on_fft(soc);
  const Time slow = fast * 3 / 2;
  // Of the client, of the session for a client without its own, and where the call then runs.
  using Deadline = std::optional<Time>;
  const auto [own, session_wide, on_core] = GENERATE_COPY(std::tuple<Deadline, Deadline, bool>{{}, {}, true},
                                                          std::tuple<Deadline, Deadline, bool>{slow - 1us, {}, false},
                                                          std::tuple<Deadline, Deadline, bool>{slow, slow - 1us, true},
                                                          std::tuple<Deadline, Deadline, bool>{{}, slow - 1us, false});
  Session session =
      open(soc, make_faulty_platform(soc, {}), {.mode = Mode::model, .policy = "ENERGY", .deadline = session_wide});
  auto client = session.client({.deadline = own});
  REQUIRE(client);
  const auto call = client->prepare(std::make_shared<TimedKernel>(slow), {signal}, {signal});
  const auto x = client->allocate(signal);
  const auto y = client->allocate(signal);
  REQUIRE((call && x && y));
  TaskGraph graph(*client);
  graph.add("only", *call, {*x}, {*y});
  const std::vector<std::function<Status()>> ways = {[&] { return client->call(*call, {*x}, {*y}); },
                                                     [&] { return client->submit(*call, {*x}, {*y}).wait(); },
                                                     [&] { return graph.run(); }};
  for (int count = 0; count < 2; ++count) {
    for (const auto& way : ways) {
      const Time start = client->now();
      REQUIRE(way());
      CHECK((client->now() - start >= slow) == on_core);
    }
  }
}

TEST_CASE("a deadline that is not above 0 is refused") {
  Session session = open_with("ENERGY", make_soc_of(1));
  CHECK_THAT(session.client({.deadline = Time{}}).error().message, Catch::Contains("deadline must be above 0"));
  CHECK_THAT(session.load(make_graph({{"a", 10us}}), {.deadline = -1us}).error().message,
             Catch::Contains("deadline must be above 0, not -1000 ns"));
}

TEST_CASE("HEFT runs a model as its schedule has it, every time") {
  const std::vector<Step> steps = {{"s", 10us}, {"t", 10us}, {"x", 10us}, {"y", 30us, {2}}};
  using Places = std::vector<std::pair<std::string, Time>>;
  // A policy from a shared object is told the schedule when it asks for it.
  const std::string policy = GENERATE(as<std::string>(), "HEFT", plugin_path("test_static_policy"));
  CAPTURE(policy);
  for (const std::uint32_t cores : {1, 2}) {
    Session session = open_with(policy, make_soc_of(cores));
    auto model = session.load(make_graph(steps));
    if (!model) FAIL(model.error().message);
    // The longest path first. EFT would begin with what became ready first, and end at 50 us on two cores.
    const Places one = {{"cpu0", 40us}, {"cpu0", 50us}, {"cpu0", 0us}, {"cpu0", 10us}};
    const Places two = {{"cpu1", 0us}, {"cpu1", 10us}, {"cpu0", 0us}, {"cpu0", 10us}};
    for (int count = 0; count < 2; ++count) CHECK(run_steps(*model) == (cores == 1 ? one : two));
  }
}

TEST_CASE("moving data counts between devices that do not see each other's caches, and on a board only") {
  // 8,192 bytes take 2.05 us.
  const Time slow = time_on_fft(make_soc_of(1)) + 1us;
  const Names anywhere = {"cpu", "fft"};
  const std::vector<Step> to = {{"a", slow}, {"b", slow, {0}, anywhere}};
  const std::vector<Step> from = {{"a", slow, {}, {"fft"}}, {"b", slow, {0}, anywhere}};
  for (const std::string policy : {"MET", "EFT", "ETF", "HEFT_RT", "HEFT"}) {
    const auto second = [&](const std::vector<Step>& steps, const std::string& port, Mode mode) {
      auto model = open_with(policy, make_soc_of(1, port), mode).load(make_graph(steps));
      REQUIRE(model);
      return devices_of(*model).back();
    };
    CAPTURE(policy);
    CHECK(second(to, "HP3", Mode::board) == "cpu0");
    CHECK(second(to, "HPC0", Mode::board) == "fft0");
    CHECK(second(to, "HP3", Mode::functional) == "fft0");
    CHECK(second(from, "HP3", Mode::board) == "fft0");
  }
}

TEST_CASE("a plan's ranks count what moving data takes, and its schedule the way of the inputs") {
  // Both on the accelerator end first when moving costs nothing; the first alone on the core when it does.
  const Time slow = time_on_fft(make_soc_of(1)) + 1us;
  const Names anywhere = {"cpu", "fft"};
  const std::vector<Step> steps = {{"a", slow, {}, anywhere}, {"b", slow, {0}, {"cpu"}}};
  const auto plan_of = [&](const std::string& port, Mode mode) {
    const Session session = open_with("HEFT", make_soc_of(1, port), mode);
    SessionState& state = *session.state();
    const Graph graph = make_graph(steps);
    const auto plan = make_plan(graph, state.devices(), state.soc(), state.platform().memory(), {});
    REQUIRE(plan);
    const auto placements = schedule(*plan, state.devices());
    return std::make_pair(plan->tasks[0].rank, state.devices()[placements[0].device].name);
  };
  const auto [whole, simulated] = plan_of("HP3", Mode::functional);
  const auto [coherent, fast] = plan_of("HPC0", Mode::board);
  const auto [moving, near] = plan_of("HP3", Mode::board);
  CHECK((simulated == "fft0" && fast == "fft0" && whole == coherent));
  CHECK(near == "cpu0");
  // Of the pairs of different devices there is one, and it moves 8,192 bytes.
  CHECK(moving == coherent + 2048ns);
}

TEST_CASE("a session runs under a policy from a shared object") {
  Session session = open(make_soc(), make_faulty_platform(make_soc(), {}), {.policy = plugin_path()});
  auto model = session.load(make_signal_graph());
  REQUIRE(model);
  const auto values = random_floats(4 * 64 * 2, 9);
  const auto result = run(*model, std::as_bytes(std::span(values)));
  Names devices;
  for (const TaskRecord& task : model->report().tasks) devices.push_back(task.device);
  // It takes the last device that may run a task; no other policy would leave three cores idle.
  CHECK(devices == Names{"fft0", "zip0", "fft0", "cpu3"});

  auto usual =
      open(make_soc(), make_faulty_platform(make_soc(), {}), {.policy = "EFT"}).load(make_signal_graph({"fft"}));
  REQUIRE(usual);
  CHECK(result == run(*usual, std::as_bytes(std::span(values))));
}
