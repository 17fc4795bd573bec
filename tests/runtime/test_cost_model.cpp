/// Measured costs: what is learned from which times, what of it is kept, and what is not believed.
#include <unistd.h>

#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <thread>

#include "cosoc/client.hpp"
#include "scheduler_support.hpp"
#include "support.hpp"

using namespace cosoc;
using namespace std::chrono_literals;

namespace {

class File {
 public:
  File() : path(std::filesystem::temp_directory_path() / ("cosoc_costs_" + std::to_string(getpid()) + ".json")) {}
  ~File() { std::filesystem::remove(path); }
  std::string text() const {
    std::ifstream stream(path);
    return {std::istreambuf_iterator<char>(stream), std::istreambuf_iterator<char>()};
  }
  void write(const std::string& text) const { std::ofstream(path) << text; }

  const std::filesystem::path path;
};

const CostClasses two_kinds{{0, 0, 1}, {"cpu", "fft-1"}};

std::shared_ptr<CostRow> make_row() {
  return CostRow::make({100us, 100us, 10us}, 2, CostRow::Call{"fft", "fft of 8", {100us, 100us, 10us}});
}

/// A session on this machine's cores, whose one kernel takes much longer than it says.
Session open_cores(const std::filesystem::path& costs) {
  auto session = Session::open({.costs = costs, .memory_bytes = 1 << 20, .cpu_cores = 2});
  if (!session) FAIL(session.error().message);
  return *session;
}

void run_slow_kernel(Session session, int count, bool blocking = false) {
  const auto client = session.client();
  const TensorType type{DType::float32, {1}};
  const auto kernel = make_user_kernel(
      "slow",
      [](auto, auto) {
        std::this_thread::sleep_for(2ms);
        return Status();
      },
      1);
  const auto call = client->prepare(kernel, {type}, {type}, {.devices = {"cpu"}});
  REQUIRE(call);
  const auto x = client->allocate(type);
  for (int i = 0; i < count; ++i) {
    REQUIRE((blocking ? client->call(*call, {*x}, {*x}) : client->submit(*call, {*x}, {*x}).wait()));
  }
}

}  // namespace

TEST_CASE("a few samples say nothing, then the median of the last ones counts") {
  const auto row = make_row();
  CHECK_FALSE(row->measure(0, 300us, two_kinds));
  CHECK_FALSE(row->measure(0, 300us, two_kinds));
  CHECK(row->all()[0] == 100us);
  const auto entry = row->measure(1, 300us, two_kinds);
  REQUIRE(entry);
  CHECK(entry->device == "cpu");
  CHECK(entry->estimate == 100us);
  CHECK(entry->measured == 300us);
  CHECK(entry->samples == 3);
  // Both cores, not the accelerator; and what follows from the costs.
  CHECK(row->all() == std::vector<Time>{300us, 300us, 10us});
  CHECK(row->cpu() == std::vector<Time>{300us, 300us, impossible});
  CHECK(row->mean() == Time(300us + 300us + 10us) / 3);
}

TEST_CASE("learning converges to what a device takes, whatever one of four measurements says") {
  std::mt19937 random(7);
  const auto row = make_row();
  const auto feed = [&](std::int64_t microseconds, int count) {
    for (int i = 0; i < count; ++i) {
      const Time good(microseconds * 1000 + static_cast<std::int64_t>(random() % 2000));
      const bool is_outlier = random() % 4 == 0;
      row->measure(2, is_outlier ? good * (random() % 2 == 0 ? 1000 : 50) : good, two_kinds);
    }
  };
  for (const std::int64_t truth : {40, 7, 900}) {
    feed(truth, 60);
    CHECK(row->all()[2] >= Time(truth * 1000));
    CHECK(row->all()[2] <= Time(truth * 1000 + 2000));
  }
  CHECK(row->all()[0] == 100us);
}

TEST_CASE("a row learns to lend, or not to") {
  const auto row = CostRow::make({2ms, 5ms}, 1, CostRow::Call{"probe", "probe", {2ms, 5ms}});
  const CostClasses classes{{0, 1}, {"cpu", "fft-1"}};
  CHECK_FALSE(row->lendable());
  for (int i = 0; i < 3; ++i) row->measure(0, 20us, classes);
  CHECK(row->lendable());
  for (int i = 0; i < 3; ++i) row->measure(1, 1us, classes);
  CHECK_FALSE(row->lendable());
}

TEST_CASE("what was never measured takes the ratio of its kernel, if there is one") {
  CostModel model;
  CHECK(model.ratio("cpu", "fft", "fft of 8") == 1.0);
  for (const auto& [call, measured] : {std::pair("fft of 8", 50us), {"fft of 16", 20us}, {"fft of 32", 400us}}) {
    model.learn({"cpu", "fft", call, 100us, measured, 5});
  }
  CHECK(model.ratio("cpu", "fft", "fft of 16") == 0.2);
  CHECK(model.ratio("cpu", "fft", "fft of 64") == 0.5);
  CHECK(model.ratio("cpu", "zip", "zip of 64") == 1.0);
  CHECK(model.ratio("cp", "fft", "fft of 16") == 1.0);
}

TEST_CASE("measured costs are saved, the same bytes for the same knowledge, and loaded") {
  const File file;
  CostModel model;
  model.learn({"zip-2", "zip", "zip \"mul\"", 10us, 11us, 3});
  model.learn({"cpu", "fft", "fft of 8", 100us, 50us, 9});
  CHECK(model.changed());
  REQUIRE(model.save(file.path, "zcu102"));
  CHECK_FALSE(model.changed());
  const std::string text = file.text();
  CostModel other;
  REQUIRE(other.load(file.path, "zcu102"));
  CHECK(other.ratio("cpu", "fft", "fft of 8") == 0.5);
  REQUIRE(other.entries().size() == 2);
  CHECK(other.entries()[1].samples == 3);
  REQUIRE(other.save(file.path, "zcu102"));
  CHECK(file.text() == text);
}

TEST_CASE("a file that cannot be believed changes nothing, and the message says why") {
  const File file;
  CostModel model;
  model.learn({"cpu", "fft", "fft of 8", 100us, 50us, 9});
  REQUIRE(model.save(file.path, "zcu102"));
  const std::string good = file.text();
  const auto refused = [&](const std::string& text, const std::string& message) {
    file.write(text);
    CostModel fresh;
    const auto loaded = fresh.load(file.path, "zcu102");
    REQUIRE_FALSE(loaded);
    CHECK_THAT(loaded.error().message, Catch::Contains(message) && Catch::Contains("cosoc calibrate"));
    CHECK(fresh.entries().empty());
  };
  const auto with = [&](const std::string& from, const std::string& to) {
    std::string text = good;
    text.replace(text.find(from), from.size(), to);
    return text;
  };
  for (const std::size_t length : {std::size_t{0}, std::size_t{1}, good.size() / 2, good.size() - 3}) {
    refused(good.substr(0, length), "it is damaged");
  }
  refused(with("\"schema\": 1", "\"schema\": 2"), "expected schema 1, found 2");
  refused(with("zcu102", "sim"), "measured on board \"sim\", this is \"zcu102\"");
  refused(with("50000", "0"), "impossible");
  refused(with("50000", "-5"), "impossible");
  refused(with("50000", "99999999999999"), "impossible");
  refused(with("50000", "\"fast\""), "it is damaged");
  refused(with("samples", "simples"), "it is damaged");
  refused("[]", "it is damaged");
  CHECK_FALSE(CostModel().load(file.path.string() + ".none", "zcu102"));
}

TEST_CASE("a session on the wall clock learns, keeps it for the next one, and only when asked") {
  const bool blocking = GENERATE(false, true);  // those run on this thread
  const File file;
  run_slow_kernel(open_cores({}), 4, blocking);
  CHECK_FALSE(std::filesystem::exists(file.path));
  {
    Session session = open_cores(file.path);
    CHECK(session.measured_costs().empty());
    run_slow_kernel(session, 4, blocking);
    const auto costs = session.measured_costs();
    REQUIRE(costs.size() == 1);
    CHECK(costs[0].device == "cpu");
    CHECK_THAT(costs[0].call, Catch::StartsWith("slow "));
    CHECK(costs[0].measured >= 2ms);
    CHECK(costs[0].estimate < 2ms);
  }
  Session session = open_cores(file.path);
  CHECK(session.measured_costs().size() == 1);
  file.write("{");
  auto broken = Session::open({.costs = file.path});
  REQUIRE_FALSE(broken);
  CHECK_THAT(broken.error().message, Catch::Contains("it is damaged"));
}

TEST_CASE("simulated time takes what was measured before, and learns nothing") {
  const File file;
  const auto soc = test::make_soc();
  const auto end_of_run = [&] {
    Session session = test::open(soc, test::make_faulty_platform(soc, {}), {.policy = "MET", .costs = file.path});
    auto model = session.load(test::make_signal_graph({"cpu"}));
    REQUIRE(model);
    const auto input = test::random_floats(4 * 64 * 2, 9);
    test::run(*model, std::as_bytes(std::span(input)));
    return model->report().end;
  };
  const Time before = end_of_run();
  CHECK_FALSE(std::filesystem::exists(file.path));
  CostModel measured;
  measured.learn({"cpu", "fft", "another fft", 100us, 1000us, 5});
  REQUIRE(measured.save(file.path, "sim"));
  const std::string text = file.text();
  const Time after = end_of_run();
  CHECK(after > before);
  CHECK(end_of_run() == after);
  CHECK(file.text() == text);
}
