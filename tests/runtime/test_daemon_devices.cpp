/// Accelerators of a daemon that leave, fail and come back, and what of it clients and their memory see.
#include <atomic>
#include <catch2/catch.hpp>

#include "runtime/daemon_support.hpp"

namespace test {
namespace {

/// What `ps` says of an accelerator.
std::string condition_of(const FaultyDaemon& daemon, const std::string& name) {
  const auto state = ask(daemon.socket(), {{"type", "ps"}});
  if (!state) return state.error().message;
  for (const auto& device : state->at("devices")) {
    if (device.at("name") == name) return device.at("condition");
  }
  return "absent";
}

/// An order to the daemon; the error, if it is one.
std::string order(const FaultyDaemon& daemon, const std::string& type, const std::string& device) {
  const auto answer = ask(daemon.socket(), {{"type", type}, {"device", device}});
  return answer ? "" : answer.error().message;
}

DeviceStatus status_of(const Session& session, const std::string& name) {
  for (DeviceStatus& status : session.device_status()) {
    if (status.name == name) return status;
  }
  FAIL("no device " << name);
  return {};
}

TEST_CASE("an accelerator of a daemon leaves and comes back, and who asks for what makes no sense is told") {
  const FaultyDaemon daemon(Fault::none);
  const Session session = daemon.session();
  CHECK(transform_impulse(session, {"fft"}, 2) == "");
  CHECK(order(daemon, "remove", "fft0") == "");
  CHECK(condition_of(daemon, "fft0") == "removed");
  CHECK(condition_of(daemon, "zip0") == "working");
  CHECK(transform_impulse(session, {"fft", "cpu"}, 2) == "");
  CHECK_THAT(transform_impulse(session, {"fft"}, 1), Catch::Contains("removed: fft0"));
  CHECK(status_of(session, "fft0").condition == DeviceCondition::removed);
  CHECK_THAT(order(daemon, "remove", "fft0"), Catch::Contains("fft0 is removed already"));
  CHECK(order(daemon, "add", "fft0") == "");
  CHECK(condition_of(daemon, "fft0") == "working");
  CHECK(transform_impulse(session, {"fft"}, 2) == "");
  CHECK_THAT(order(daemon, "add", "fft0"), Catch::Contains("is there and works"));
  CHECK_THAT(order(daemon, "remove", "cpu0"),
             Catch::Contains("there is no accelerator cpu0; there are c2d0, fft0, zip0"));
  CHECK_THAT(ask(daemon.socket(), {{"type", "add"}}).error().message, Catch::Contains("name of a device is missing"));
}

TEST_CASE("a removal waits for the call that runs and holds nobody up, and one that failed comes back by an add") {
  // Two attempts, which hang.
  const FaultyDaemon daemon(Fault::hangs, 2, milliseconds(1000));
  const Session session = daemon.session();
  std::string problem = "none yet";
  std::thread application([&] { problem = transform_impulse(session, {"fft", "cpu"}, 1); });
  const auto calls = [&] { return ask(daemon.socket(), {{"type", "ps"}})->at("clients").at(0).at("calls"); };
  wait_until([&] { return calls() != 0; });
  std::atomic<bool> removed = false;
  std::string refusal = "none yet";
  std::thread remover([&] {
    refusal = order(daemon, "remove", "fft0");
    removed = true;
  });
  // Who asks meanwhile is told that it is on its way out.
  int answers = 0;
  while (!removed) answers += condition_of(daemon, "fft0") == "removed" ? 1 : 0;
  CHECK(answers > 3);
  application.join();
  remover.join();
  CHECK(problem == "");
  CHECK(refusal == "");
  // It failed on its way out, and may still write to memory.
  CHECK(condition_of(daemon, "fft0") == "failed");
  CHECK_THAT(order(daemon, "remove", "fft0"), Catch::Contains("did not finish") && Catch::Contains("add it"));
  CHECK(order(daemon, "add", "fft0") == "");
  CHECK(condition_of(daemon, "fft0") == "working");
  CHECK(transform_impulse(session, {"fft"}, 2) == "");
}

TEST_CASE("clients are told of an accelerator that is out, and ask no more until it is back") {
  const FaultyDaemon daemon(Fault::none);
  const Session before = daemon.session();
  CHECK(transform_impulse(before, {"fft"}, 1) == "");
  CHECK(order(daemon, "remove", "fft0") == "");
  const Session after = daemon.session();
  const std::uint64_t calls = calls_of(daemon);
  for (const Session& session : {before, after}) {
    CHECK(transform_impulse(session, {"fft", "cpu"}, 5) == "");
    CHECK_THAT(transform_impulse(session, {"fft"}, 1), Catch::Contains("removed: fft0"));
    CHECK(status_of(session, "fft0").condition == DeviceCondition::removed);
    CHECK_THAT(Session(session).add_device("fft0").error().message, Catch::Contains("the daemon has taken fft0 out"));
  }
  CHECK(calls_of(daemon) == calls);
  CHECK(order(daemon, "add", "fft0") == "");
  for (const Session& session : {before, after}) {
    CHECK(transform_impulse(session, {"fft"}, 2) == "");
    CHECK(status_of(session, "fft0").condition == DeviceCondition::working);
  }
  CHECK(calls_of(daemon) == calls + 4);
}

TEST_CASE("clients are told of an accelerator that failed") {
  const FaultyDaemon daemon(Fault::hangs, 2, milliseconds(50));
  const Session session = daemon.session();
  CHECK(transform_impulse(session, {"fft", "cpu"}, 1) == "");
  wait_until([&] {
    static_cast<void>(transform_impulse(session, {"cpu"}, 1));
    return status_of(session, "fft0").condition == DeviceCondition::removed;
  });
  const std::uint64_t calls = calls_of(daemon);
  CHECK(transform_impulse(session, {"fft", "cpu"}, 3) == "");
  CHECK(calls_of(daemon) == calls);
}

TEST_CASE("memory that a stuck accelerator could write to is used again when that has been reset") {
  // Resets fail after the call and at the ends of both clients; that of the `add` ends.
  SoCDescription soc = make_soc();
  soc.memory_bytes = 16 << 20;
  const FaultyDaemon daemon({"fft0", Fault::stays_in_reset, 1, 3}, soc, milliseconds(50));
  const auto large = [&] {
    return Connection::open({.socket = daemon.socket(), .name = "large", .memory_bytes = 8 << 20});
  };
  {
    const auto connection = large();
    REQUIRE(connection);
    CHECK(transform_impulse(daemon.session(), {"fft", "cpu"}, 1) == "");
    CHECK(condition_of(daemon, "fft0") == "failed");
  }
  wait_until([&] { return state_of(daemon).at("clients").empty() && state_of(daemon).at("leaving") == 0; });
  std::atomic<bool> given = false;
  std::thread next([&] { given = large().has_value(); });
  std::this_thread::sleep_for(milliseconds(100));
  CHECK_FALSE(given);
  CHECK(order(daemon, "add", "fft0") == "");
  wait_until([&] { return given.load(); });
  next.join();
}

TEST_CASE("a daemon whose device memory cannot be shared copies operands, and results are right") {
  // What mode board does: the platform is this test's, because no UIO is there.
  SoCDescription soc = make_soc();
  const FaultyDaemon daemon({"fft0", Fault::none}, soc, patience, {.mode = Mode::board});
  const Session session = daemon.session();
  CHECK(transform_impulse(session, {"fft"}, 3) == "");
  std::vector<std::thread> others;
  std::vector<std::string> problems(2);
  for (std::string& problem : problems) {
    others.emplace_back([&, mine = daemon.session()] { problem = transform_impulse(mine, {"fft"}, 10); });
  }
  for (std::thread& other : others) other.join();
  CHECK(problems == std::vector<std::string>(2));
  CHECK(calls_of(daemon) >= 3);
}

}  // namespace
}  // namespace test
