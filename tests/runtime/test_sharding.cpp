/// Layers that are split over several accelerators: the same bits as on one CPU core, wherever the parts run, and less
/// time.
#include <catch2/catch.hpp>
#include <random>

#include "support.hpp"

using namespace cosoc;
using namespace std::chrono_literals;

namespace {

struct Ran {
  std::vector<std::byte> output;
  RunReport report;
};

Ran run(Session session, Graph graph) {
  auto model = session.load(std::move(graph));
  if (!model) FAIL(model.error().message);
  std::mt19937 random(5);
  std::vector<std::byte> input(model->graph().tensors()[model->graph().inputs()[0]].type.dense_bytes());
  for (auto& byte : input) byte = static_cast<std::byte>(random());
  auto output = test::run(*model, input);
  // Again, over memory that holds the first run's values.
  CHECK(test::run(*model, input) == output);
  return {std::move(output), model->report()};
}

Ran run(Session session, std::int64_t rows) { return run(std::move(session), test::make_convolution_graph(rows)); }

std::vector<std::byte> run_on_cpu(Graph graph) {
  auto session = Session::open({.memory_bytes = 16 << 20, .cpu_cores = 1});
  REQUIRE(session);
  return run(*session, std::move(graph)).output;
}

std::vector<std::byte> run_on_cpu(std::int64_t rows) { return run_on_cpu(test::make_convolution_graph(rows)); }

Session open(const SoCDescription& soc, SessionOptions options = {}, const test::FaultPlan& plan = {}) {
  options.minimum_deadline = 400ms;
  return test::open(soc, test::make_faulty_platform(soc, plan), options);
}

std::size_t split_layers(const RunReport& report) {
  return static_cast<std::size_t>(std::ranges::count_if(
      report.tasks, [](const TaskRecord& task) { return task.device == "c2d0+c2d1" || task.device == "c2d1+c2d0"; }));
}

}  // namespace

TEST_CASE("split layers have the bits of a CPU core, and halve the time of equal engines") {
  const std::int64_t rows = GENERATE(48, 37);
  const auto expected = run_on_cpu(rows);
  const Ran split = run(open(test::make_two_engines()), rows);
  const Ran whole = run(open(test::make_two_engines(), {.shard = false}), rows);
  CHECK(split.output == expected);
  CHECK(whole.output == expected);
  CHECK(split_layers(split.report) >= 3);
  CHECK(split_layers(whole.report) == 0);
  REQUIRE(split.report.tasks.size() == whole.report.tasks.size());
  for (std::size_t i = 0; i < split.report.tasks.size(); ++i) {
    CHECK(split.report.tasks[i].node == whole.report.tasks[i].node);
    CHECK(split.report.tasks[i].commands >= whole.report.tasks[i].commands);
  }
  const double gain = static_cast<double>((whole.report.end - whole.report.start).count()) /
                      static_cast<double>((split.report.end - split.report.start).count());
  CHECK(gain > 1.6);
}

TEST_CASE("engines of different sizes get parts of different sizes") {
  const auto soc = test::make_two_engines(4);
  const Ran split = run(open(soc), 96);
  CHECK(split.output == run_on_cpu(96));
  CHECK(split_layers(split.report) >= 2);
  // Not slower than the larger engine by itself, as equal parts would be little better.
  SoCDescription large = soc;
  large.accelerators.erase(large.accelerators.begin());
  const Ran alone = run(open(large), 96);
  CHECK(1.25 * static_cast<double>((split.report.end - split.report.start).count()) <
        static_cast<double>((alone.report.end - alone.report.start).count()));
}

TEST_CASE("fully connected layers are split by their channels, with the same bits, and gain") {
  const auto expected = run_on_cpu(test::make_connected_graph());
  const Ran split = run(open(test::make_two_engines()), test::make_connected_graph());
  const Ran whole = run(open(test::make_two_engines(), {.shard = false}), test::make_connected_graph());
  CHECK(split.output == expected);
  CHECK(whole.output == expected);
  CHECK(split_layers(split.report) == 3);
  const double gain = static_cast<double>((whole.report.end - whole.report.start).count()) /
                      static_cast<double>((split.report.end - split.report.start).count());
  CHECK(gain > 1.6);
  const auto soc = test::make_two_engines();
  CHECK(run(test::open(soc, test::make_threaded_platform(soc, {})), test::make_connected_graph()).output == expected);
}

TEST_CASE("every policy places the parts, and a broken engine's parts run elsewhere") {
  const auto expected = run_on_cpu(37);
  for (const auto policy : policy_names()) {
    CAPTURE(policy);
    CHECK(run(open(test::make_two_engines(), {.policy = std::string(policy)}), 37).output == expected);
  }
  const Ran broken = run(open(test::make_two_engines(), {}, {"c2d1", test::Fault::dma_error, 2}), 37);
  CHECK(broken.output == expected);
  CHECK(broken.report.quarantined.size() == 1);
}

TEST_CASE("threads run parts at the same time into one output") {
  const auto soc = test::make_two_engines();
  const Session session = test::open(soc, test::make_threaded_platform(soc, {}));
  CHECK(run(session, 37).output == run_on_cpu(37));
}

TEST_CASE("small layers, single engines and modes without values stay whole or need no memory to compute") {
  CHECK(split_layers(run(open(test::make_two_engines()), 4).report) == 0);
  Session model = open(test::make_two_engines(), {.mode = Mode::model});
  auto loaded = model.load(test::make_convolution_graph(48));
  REQUIRE(loaded);
  std::vector<std::byte> input(48 * 24 * 32);
  test::run(*loaded, input);
  CHECK(split_layers(loaded->report()) >= 3);
}
