/// Devices that leave and come back while work goes on.
#include <atomic>
#include <catch2/catch.hpp>
#include <thread>

#include "cosoc/client.hpp"
#include "kernels/operations.hpp"
#include "scheduler_support.hpp"
#include "support.hpp"

using namespace cosoc;
using namespace std::chrono_literals;

namespace {

const TensorType signal{DType::complex64, {256}};

/// A program that multiplies vectors on a ZIP, or wherever it is told.
struct Multiplication {
  Multiplication(Session session, std::vector<std::string> devices) : client(*session.client()) {
    auto prepared = client.prepare(make_kernel("zip", {{"operation", "mul"}}), {signal, signal}, {signal},
                                   {.name = "mul", .devices = std::move(devices)});
    if (!prepared) FAIL(prepared.error().message);
    call = std::move(*prepared);
    const auto values = test::random_floats(512, 3);
    REQUIRE(factor.write(std::as_bytes(std::span(values))));
  }

  Future submit() const { return submit(product); }
  Future submit(const Buffer& to) const { return client.submit(*call, {factor, factor}, {to}); }

  Client client;
  std::optional<Call> call;
  Buffer factor = *client.allocate(signal);
  Buffer product = *client.allocate(signal);
};

std::vector<std::byte> bytes_of(const Buffer& buffer) {
  std::vector<std::byte> bytes(signal.bytes());
  REQUIRE(buffer.read(bytes));
  return bytes;
}

DeviceCondition condition(const Session& session, const std::string& name) {
  for (const DeviceStatus& status : session.device_status()) {
    if (status.name == name) return status.condition;
  }
  FAIL("no device " << name);
  return {};
}

SoCDescription one_core() {
  SoCDescription soc = test::make_soc();
  soc.cpu_cores = 1;
  return soc;
}

Session open(bool threads, const test::FaultPlan& plan = {}) {
  const SessionOptions options{.minimum_deadline = 400ms};
  if (threads) return test::open(one_core(), test::make_threaded_platform(one_core(), plan), options);
  return test::open(one_core(), test::make_faulty_platform(one_core(), plan), options);
}

}  // namespace

TEST_CASE("what waits for a device that is removed runs elsewhere, and it works again when it is back") {
  const bool threads = GENERATE(false, true);
  CAPTURE(threads);
  Session session = open(threads);
  const Multiplication work(session, {"zip", "cpu"});
  REQUIRE(work.submit().wait());
  const std::vector<std::byte> product = bytes_of(work.product);
  for (int round = 0; round < 3; ++round) {
    std::vector<std::pair<Future, Buffer>> results;
    const auto submit = [&] {
      const Buffer to = *work.client.allocate(signal);
      results.emplace_back(work.submit(to), to);
    };
    for (int i = 0; i < 20; ++i) submit();
    REQUIRE(session.remove_device("zip0"));
    CHECK(condition(session, "zip0") == DeviceCondition::removed);
    for (int i = 0; i < 5; ++i) submit();
    for (const auto& [future, buffer] : results) {
      CHECK(future.wait());
      CHECK(bytes_of(buffer) == product);
    }
    REQUIRE(session.add_device("zip0"));
    CHECK(condition(session, "zip0") == DeviceCondition::working);
    const Multiplication only(session, {"zip"});
    CHECK(only.submit().wait());
  }
}

TEST_CASE("the last device that could run a task fails it with the reason when it leaves") {
  const bool threads = GENERATE(false, true);
  Session session = open(threads);
  const Multiplication work(session, {"zip"});
  REQUIRE(session.remove_device("zip0"));
  const Status none = work.submit().wait();
  REQUIRE_FALSE(none);
  CHECK_THAT(none.error().message,
             Catch::StartsWith("node mul: no device is left that can run it") && Catch::EndsWith("removed: zip0"));
  REQUIRE(session.add_device("zip0"));
  CHECK(work.submit().wait());
}

TEST_CASE("orders that make no sense are refused") {
  Session session = open(false);
  const auto unknown = session.remove_device("zip7");
  REQUIRE_FALSE(unknown);
  CHECK(unknown.error().message == "there is no device zip7; there are cpu0, c2d0, fft0, zip0");
  const auto there = session.add_device("zip0");
  REQUIRE_FALSE(there);
  CHECK(there.error().message == "device zip0 is there and works");
  CHECK(session.remove_device("zip0"));
  CHECK(session.remove_device("zip0"));
  CHECK(session.add_device("zip0"));
}

TEST_CASE("a quarantined device works again when it is added, unless it is broken still or another one") {
  const bool threads = GENERATE(false, true);
  CAPTURE(threads);
  SECTION("it recovers") {
    Session session = open(threads, {"zip0", test::Fault::fails, 2});
    const Multiplication work(session, {"zip", "cpu"});
    const Multiplication only(session, {"zip"});
    CHECK_FALSE(only.submit().wait());
    CHECK(condition(session, "zip0") == DeviceCondition::quarantined);
    CHECK(work.submit().wait());
    REQUIRE(session.add_device("zip0"));
    CHECK(only.submit().wait());
  }
  SECTION("its bitstream was changed") {
    Session session = open(threads, {"zip0", test::Fault::reconfigured, 1});
    const Multiplication only(session, {"zip"});
    CHECK_FALSE(only.submit().wait());
    const auto added = session.add_device("zip0");
    REQUIRE_FALSE(added);
    CHECK_THAT(added.error().message, Catch::StartsWith("zip0: ") && Catch::Contains("another bitstream was loaded"));
    CHECK(condition(session, "zip0") == DeviceCondition::quarantined);
  }
}

TEST_CASE("an interrupt that comes late does not end the call that follows") {
  const bool threads = GENERATE(false, true);
  Session session = open(threads, {"zip0", test::Fault::late_interrupt, 1});
  const Multiplication only(session, {"zip"});
  for (int i = 0; i < 3; ++i) {
    const std::vector<std::byte> zeros(signal.bytes());
    REQUIRE(only.product.write(zeros));
    REQUIRE(only.submit().wait());
    CHECK(bytes_of(only.product) != zeros);
  }
  CHECK(condition(session, "zip0") == DeviceCondition::working);
}

TEST_CASE("a core that is removed runs nothing, lent calls included, until it is back") {
  test::TestScheduler scheduler(test::Clock::wall, 1);
  const auto application = scheduler.application();
  const auto work = test::make_task("work", {1us});
  REQUIRE(scheduler->remove_device(0));
  CHECK_FALSE(scheduler->call(application, work, {}, {}));
  REQUIRE(scheduler->add_device(0));
  CHECK(scheduler->call(application, work, {}, {}));
}

TEST_CASE("devices come and go while threads submit, and no task is lost") {
  test::TestScheduler scheduler(test::Clock::wall, 4);
  std::atomic<int> ran = 0;
  const auto work = test::make_task("work", {5us, 5us, 5us, 5us}, [&] {
    ++ran;
    return Status();
  });
  std::atomic<bool> done = false;
  std::atomic<int> failures = 0;  // Catch's checks are for one thread
  const auto expect = [&failures](bool good) { failures += good ? 0 : 1; };
  std::thread changes([&] {
    for (std::size_t i = 0; !done; ++i) {
      expect(scheduler->remove_device(1 + i % 3).has_value());
      expect(scheduler->add_device(1 + i % 3).has_value());
    }
  });
  std::vector<std::thread> threads;
  for (int t = 0; t < 2; ++t) {
    threads.emplace_back([&] {
      const auto application = scheduler.application();
      for (int i = 0; i < 200; ++i) {
        TaskGroup group(application);
        for (int k = 0; k < 10; ++k) scheduler->submit(group, work, {}, {});
        expect(scheduler->call(application, work, {}, {}).has_value());
        expect(scheduler->wait(group).has_value());
      }
    });
  }
  for (auto& thread : threads) thread.join();
  done = true;
  changes.join();
  CHECK(failures == 0);
  CHECK(ran == 2 * 200 * 11);
}

TEST_CASE("in simulated time a removal waits for what runs, and repeats exactly") {
  const auto run = [] {
    test::TestScheduler scheduler(test::Clock::simulated, 2, "RR");
    const auto work = test::make_task("work", {100us, 100us});
    TaskGroup group(scheduler.application());
    for (int i = 0; i < 6; ++i) scheduler->submit(group, work, {}, {});
    scheduler->sleep_until(50us);
    REQUIRE(scheduler->remove_device(1));
    const Time removed = scheduler->now();
    REQUIRE(scheduler->wait(group));
    return std::pair(removed, scheduler->now());
  };
  // The first of its three tasks ends; the other two follow the three of the first core.
  CHECK(run() == std::pair(Time(100us), Time(500us)));
  CHECK(run() == std::pair(Time(100us), Time(500us)));
}
