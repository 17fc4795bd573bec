/// Traces: what they say of a run, and that they say it whatever happens to the process.
#include <unistd.h>

#include <atomic>
#include <catch2/catch.hpp>
#include <cmath>
#include <map>
#include <thread>

#include "cosoc/client.hpp"
#include "cosoc/generated/page.hpp"
#include "kernels/operations.hpp"
#include "scheduler_support.hpp"
#include "support.hpp"
#include "trace_file.hpp"

using namespace cosoc;
using namespace std::chrono_literals;
using nlohmann::json;
using test::TraceFile;

namespace {

void run_signal(Session session) {
  auto model = session.load(test::make_signal_graph());
  REQUIRE(model);
  const auto input = test::random_floats(4 * 64 * 2, 9);
  test::run(*model, std::as_bytes(std::span(input)));
}

TaskEvent make_event(std::string_view node) {
  return {.id = 1,
          .next = {},
          .node = node,
          .operation = "op",
          .application = "app",
          .end = 5us,
          .counters = {},
          .reason = {}};
}

/// Functional models do not wait for memory; this one counts as if each call had.
class WaitingDevice final : public Device {
 public:
  explicit WaitingDevice(Device& inner) : inner_(inner) {}
  std::uint32_t read32(std::uint32_t offset) override {
    if (offset == page::cycles_starved_lo) return 1000 * calls_;
    if (offset == page::cycles_blocked_lo) return 70 * calls_;
    return inner_.read32(offset);
  }
  void write32(std::uint32_t offset, std::uint32_t value) override {
    if (offset == page::ring_tail && value != 0) ++calls_;
    inner_.write32(offset, value);
  }

 private:
  Device& inner_;
  std::uint32_t calls_ = 0;
};

class WaitingPlatform final : public SimulatedPlatform {
 public:
  explicit WaitingPlatform(const SoCDescription& soc) : inner_(test::make_faulty_platform(soc, {})) {
    for (std::size_t i = 0; i < soc.accelerators.size(); ++i) {
      devices_.push_back(std::make_unique<WaitingDevice>(inner_->accelerator(i)));
    }
  }
  DeviceMemory& memory() override { return inner_->memory(); }
  std::size_t accelerator_count() const override { return devices_.size(); }
  Device& accelerator(std::size_t index) override { return *devices_[index]; }
  Time now() const override { return inner_->now(); }
  Result<std::optional<std::size_t>> advance(Time limit) override { return inner_->advance(limit); }

 private:
  std::unique_ptr<SimulatedPlatform> inner_;
  std::vector<std::unique_ptr<WaitingDevice>> devices_;
};

/// A time of a trace, which is written in microseconds.
long long nanoseconds(double microseconds) { return std::llround(1000 * microseconds); }

}  // namespace

TEST_CASE("a trace tells where and when every task ran, what followed it, and what the accelerator moved") {
  const TraceFile file;
  const auto soc = test::make_soc();
  run_signal(test::open(soc, test::make_faulty_platform(soc, {}), {.policy = "MET", .trace = file.path}));
  const auto tasks = file.tasks();
  REQUIRE(tasks.size() == 4);
  std::map<std::uint64_t, std::string> names;
  for (const auto& [name, task] : tasks) names.emplace(task["args"]["id"], name);
  REQUIRE(names.size() == 4);
  const std::vector<std::string> chain = {"forward", "product", "inverse", "power"};
  double before = 0;
  for (std::size_t i = 0; i < chain.size(); ++i) {
    const json& task = tasks.at(chain[i]);
    const json& args = task["args"];
    CHECK(args["application"] == "signal");
    CHECK(args["submit_us"] == 0.0);
    CHECK(nanoseconds(args["ready_us"]) == nanoseconds(before));
    CHECK(task["ts"] >= args["ready_us"]);
    before = task["ts"].get<double>() + task["dur"].get<double>();
    CHECK(args["expected_end_us"] > task["ts"]);
    if (i + 1 < chain.size()) {
      REQUIRE(args["next"].size() == 1);
      CHECK(names.at(args["next"][0]) == chain[i + 1]);
    } else {
      CHECK_FALSE(args.contains("next"));
    }
  }
  // Two operands and a result of 4 * 64 numbers of 8 bytes, in beats of 16, and no less than the command itself.
  const json& product = tasks.at("product")["args"];
  CHECK(product["beats_read"] >= 2 * 128);
  CHECK(product["beats_read"] < 2 * 128 + 32);
  CHECK(product["beats_written"] >= 128);
  CHECK(product["beats_written"] < 128 + 8);
  CHECK(product["cycles"] > 0);
  CHECK_FALSE(tasks.at("power")["args"].contains("cycles"));
}

TEST_CASE("a task's event has how many it was chosen from, and how many lay before it on its device") {
  const TraceFile file;
  {
    auto trace = Trace::open(file.path, {{"cpu0", "cpu1"}, "EFT", true});
    REQUIRE(trace);
    test::TestScheduler scheduler(test::Clock::simulated, 2, "EFT", trace->get());
    const ApplicationThread part(*scheduler);
    std::vector<TaskTemplate> tasks;
    for (const char* name : {"a", "b", "c", "d"}) tasks.push_back(test::make_task(name, {10us, 40us}));
    TaskGroup group(scheduler.application());
    for (const TaskTemplate& task : tasks) scheduler->submit(group, task, {}, {});
    REQUIRE(scheduler->wait(group));
    const auto later = test::make_task("later", {10us, 40us});
    scheduler->submit(group, later, {}, {});
    REQUIRE(scheduler->wait(group));
  }
  const auto tasks = file.tasks();
  // Ends at 10, 20, 30 and 40 us on the first core; equal ends to the first device.
  const std::map<std::string, std::pair<int, int>> expected = {
      {"a", {4, 0}}, {"b", {4, 1}}, {"c", {4, 2}}, {"d", {4, 3}}, {"later", {1, 0}}};
  for (const auto& [name, counts] : expected) {
    CAPTURE(name);
    CHECK(tasks.at(name)["args"]["choices"] == counts.first);
    CHECK(tasks.at(name)["args"]["queued"] == counts.second);
  }
}

TEST_CASE("the cycles in which an accelerator waits are those of each call, by its counters") {
  const TraceFile file;
  const auto soc = test::make_soc();
  run_signal(test::open(soc, std::make_unique<WaitingPlatform>(soc), {.policy = "MET", .trace = file.path}));
  const auto tasks = file.tasks();
  for (const char* name : {"forward", "product", "inverse"}) {
    CAPTURE(name);
    CHECK(tasks.at(name)["args"]["cycles_starved"] == 1000);
    CHECK(tasks.at(name)["args"]["cycles_blocked"] == 70);
  }
  CHECK_FALSE(tasks.at("power")["args"].contains("cycles_starved"));
}

TEST_CASE("a task that comes while its device computes is ready at once, not when the device is free") {
  const TraceFile file;
  {
    auto session = Session::open({.mode = Mode::cpu, .trace = file.path, .cpu_cores = 1});
    REQUIRE(session);
    const auto client = session->client();
    REQUIRE(client);
    const TensorType type{.dtype = DType::float32, .shape = {16}};
    std::atomic<bool> both = false;
    const auto slow = make_user_kernel(
        "slow",
        [&both](auto, auto) {
          both.wait(false);
          return Status();
        },
        16);
    std::vector<Future> futures;
    for (const char* name : {"first", "second"}) {
      const auto call = client->prepare(slow, {type}, {type}, {.name = name});
      const auto x = client->allocate(type);
      REQUIRE((call && x));
      futures.push_back(client->submit(*call, {*x}, {*x}));
    }
    // The device is free later than the second task comes, whatever the clock's resolution.
    std::this_thread::sleep_for(1ms);
    both = true;
    both.notify_all();
    for (const Future& future : futures) CHECK(future.wait());
  }
  const auto tasks = file.tasks();
  const json& second = tasks.at("second");
  CHECK(second["args"]["ready_us"] == second["args"]["submit_us"]);
  CHECK(second["ts"].get<double>() > second["args"]["ready_us"].get<double>());
}

TEST_CASE("equal runs in simulated time give equal traces, valid after every run") {
  std::vector<std::string> texts;
  for (int i = 0; i < 2; ++i) {
    const TraceFile file;
    const auto soc = test::make_soc();
    Session session = test::open(soc, test::make_faulty_platform(soc, {}), {.trace = file.path});
    run_signal(session);
    CHECK(file.tasks().size() == 4);
    run_signal(session);
    texts.push_back(file.text());
    CHECK(json::parse(texts.back()).size() > 2 * 4);
  }
  CHECK(texts[0] == texts[1]);
}

TEST_CASE("what is in the file while the trace goes on is whole, and lacks no more than the buffer") {
  const TraceFile file;
  auto trace = Trace::open(file.path, {{"cpu0"}, "EFT", true});
  REQUIRE(trace);
  std::size_t events = 0;
  for (std::size_t bytes = 0; bytes < 5 * Trace::buffer_bytes; ++events) {
    (*trace)->write(make_event("task"));
    bytes += 150;
    if (events % 501 != 0) continue;
    // As a process that is killed here leaves it.
    const std::string text = file.text();
    const auto read = json::parse(text.ends_with("]\n") ? text : text + "]");
    CHECK(text.size() + Trace::buffer_bytes + 200 > bytes);
    CHECK(read.back()["ph"] == (read.size() > 5 ? "X" : "M"));
  }
  REQUIRE((*trace)->finish());
  CHECK(json::parse(file.text()).size() == 5 + events);
  // A pause ends the wait for more.
  std::this_thread::sleep_for(120ms);
  (*trace)->write(make_event("late"));
  CHECK(json::parse(file.text() + "]").back()["name"] == "late");
}

TEST_CASE("a complete trace is left as it is: another one may have its name by now") {
  const TraceFile file;
  auto first = Trace::open(file.path, {{"cpu0"}, "EFT", true});
  REQUIRE(first);
  for (int i = 0; i < 10; ++i) (*first)->write(make_event("first"));
  REQUIRE((*first)->finish());
  auto second = Trace::open(file.path, {{"cpu0"}, "EFT", true});
  REQUIRE(second);
  (*second)->write(make_event("second"));
  REQUIRE((*second)->finish());
  const std::string text = file.text();
  first->reset();
  CHECK(file.text() == text);
}

TEST_CASE("names of any bytes give a valid trace") {
  const TraceFile file;
  using namespace std::string_literals;
  const std::string hostile = "quote\" back\\ line\n nul\0 \xff\xc3 \xc3\xa9 \x7f"s;
  auto trace = Trace::open(file.path, {{hostile}, hostile, true});
  REQUIRE(trace);
  (*trace)->write(make_event(hostile));
  (*trace)->write({.ready = 1, .assigned = 1, .queued = std::vector<std::size_t>{3}});
  REQUIRE((*trace)->finish());
  const auto events = json::parse(file.text());
  CHECK_THAT(events[5]["name"].get<std::string>(), Catch::StartsWith("quote\" back\\ line\n") && Catch::Contains("é"));
  CHECK(events.back()["args"].size() == 1);
  CHECK(events.back()["args"].front() == 3);
}

TEST_CASE("a trace that cannot be written says why, at the start or when the disk is full") {
  const auto missing = Trace::open("/nonexistent/trace.json", {{"cpu0"}, "EFT", true});
  REQUIRE_FALSE(missing);
  CHECK(missing.error().message == "cannot write the trace /nonexistent/trace.json: No such file or directory");
  const auto full = Trace::open("/dev/full", {{"cpu0"}, "EFT", true});
  REQUIRE_FALSE(full);
  CHECK(full.error().message == "cannot write the trace /dev/full: No space left on device");
}

TEST_CASE("short blocking calls stay on their caller's thread with a trace, and are in it") {
  const TraceFile file;
  {
    auto trace = Trace::open(file.path, {{"cpu0"}, "EFT", false});
    REQUIRE(trace);
    test::TestScheduler scheduler(test::Clock::wall, 1, "EFT", trace->get());
    std::thread::id ran;
    const auto work = test::make_task("short", {1us}, [&] {
      ran = std::this_thread::get_id();
      return Status();
    });
    REQUIRE(scheduler->call(scheduler.application("caller"), work, {}, {}));
    CHECK(ran == std::this_thread::get_id());
    const auto broken = test::make_task("broken", {1us}, [] { return failure("told to fail"); });
    REQUIRE_FALSE(scheduler->call(scheduler.application("caller"), broken, {}, {}));
  }
  const auto tasks = file.tasks();
  REQUIRE(tasks.size() == 2);
  CHECK(tasks.at("short")["args"]["lent"] == 1);
  CHECK(tasks.at("short")["args"]["application"] == "caller");
  CHECK(tasks.at("broken")["args"]["failed"] == 1);
  CHECK_THAT(tasks.at("broken")["args"]["reason"].get<std::string>(), Catch::EndsWith("told to fail"));
}

TEST_CASE("a trace has the policy's rounds, with queues, and on the wall clock how long each took") {
  const TraceFile file;
  const bool simulated = GENERATE(false, true);
  {
    auto trace = Trace::open(file.path, {{"cpu0", "cpu1"}, "RR", simulated});
    REQUIRE(trace);
    test::TestScheduler scheduler(simulated ? test::Clock::simulated : test::Clock::wall, 2, "RR", trace->get());
    const auto work = test::make_task("work", {50us, 50us});
    TaskGroup group(scheduler.application());
    for (int i = 0; i < 8; ++i) scheduler->submit(group, work, {}, {});
    REQUIRE(scheduler->wait(group));
  }
  int assigned = 0;
  double deciding = 0;
  for (const json& event : json::parse(file.text())) {
    if (event["ph"] == "C") CHECK(event["args"].size() == 2);
    if (event["ph"] != "X" || event["cat"] != "policy") continue;
    CHECK(event["name"] == "RR");
    CHECK(event["args"]["ready"] == event["args"]["assigned"]);
    assigned += event["args"]["assigned"].get<int>();
    deciding += event["dur"].get<double>();
  }
  CHECK(assigned == 8);
  CHECK((deciding > 0) == !simulated);
}
