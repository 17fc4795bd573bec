/// The scheduler under many applications and threads: order, failures, fairness, memory, and simulated time.
#include <catch2/catch.hpp>
#include <deque>
#include <random>
#include <set>
#include <thread>

#include "cosoc/session.hpp"
#include "scheduler_support.hpp"
#include "trace_file.hpp"

using namespace cosoc;
using namespace test;
using namespace std::chrono_literals;

namespace {

/// Counts what has ended, and submits another task until there were enough.
class Chain final : public Completion {
 public:
  Chain(Scheduler& scheduler, TaskGroup& group, const TaskTemplate& what, int length)
      : scheduler_(scheduler), group_(group), what_(what), left_(length) {}
  void complete(const Task&, const Status& status) override {
    good_ &= status.has_value();
    if (--left_ > 0) scheduler_.submit(group_, what_, {}, {}, {}, this);
  }
  int left() const { return left_; }
  bool good() const { return good_; }

 private:
  Scheduler& scheduler_;
  TaskGroup& group_;
  const TaskTemplate& what_;
  int left_;
  bool good_ = true;
};

/// Keeps the order in which tasks ended, and when.
class Log final : public Completion {
 public:
  struct Entry {
    std::string name;
    Time start;
    Time end;
    std::string error;
  };
  void complete(const Task& task, const Status& status) override {
    const std::lock_guard lock(mutex_);
    entries.push_back({task.what->name, task.start, task.end, status ? "" : status.error().message});
  }
  std::vector<Entry> entries;

 private:
  std::mutex mutex_;
};

/// Submits random tasks that follow random earlier ones; whether they do.
bool run_random_tasks(TestScheduler& scheduler, unsigned seed, int count) {
  std::mt19937 random(seed);
  TaskGroup group(scheduler.application());
  std::deque<std::atomic<bool>> ended(count);
  std::deque<TaskTemplate> templates;
  std::vector<TaskHandle> handles;
  std::atomic<int> wrong = 0;
  for (int i = 0; i < count; ++i) {
    std::vector<TaskHandle> after;
    std::vector<int> before;
    for (unsigned k = 0; i > 0 && k < random() % 4; ++k) {
      before.push_back(static_cast<int>(random() % i));
      after.push_back(handles[before.back()]);
    }
    templates.push_back(make_task("t", {1us, 1us, 1us}, [&, i, before] {
      for (const int earlier : before) wrong += ended[earlier] ? 0 : 1;
      ended[i] = true;
      return Status();
    }));
    handles.push_back(scheduler->submit(group, templates.back(), {}, {}, after));
  }
  const bool succeeded = scheduler->wait(group).has_value();
  return succeeded && wrong == 0 && std::ranges::all_of(ended, [](const auto& flag) { return flag.load(); });
}

}  // namespace

TEST_CASE("tasks follow those that they wait for, submitted from several threads while others run") {
  for (const Clock clock : {Clock::wall, Clock::simulated}) {
    TestScheduler scheduler(clock, 3);
    std::atomic<int> right = 0;
    std::vector<std::thread> threads;
    for (unsigned seed = 0; seed < 4; ++seed) {
      threads.emplace_back([&, seed] { right += run_random_tasks(scheduler, seed, 500) ? 1 : 0; });
    }
    for (auto& thread : threads) thread.join();
    CHECK(right == 4);
  }
}

TEST_CASE("a failure ends its group, with the tasks that wait for it, and no other") {
  for (const Clock clock : {Clock::wall, Clock::simulated}) {
    TestScheduler scheduler(clock, 2);
    int runs = 0;
    const auto good = make_task("good", {1us, 1us});
    const auto bad = make_task("bad", {1us, 1us}, [] { return failure("told to fail"); });
    const auto counted = make_task("counted", {1us, 1us}, [&] {
      ++runs;
      return Status();
    });
    TaskGroup group(scheduler.application());
    TaskGroup other(scheduler.application());
    Log log;
    const auto failed = scheduler->submit(group, bad, {}, {}, {}, &log);
    scheduler->submit(group, counted, {}, {}, {{failed}}, &log);
    scheduler->submit(other, good, {}, {}, {}, &log);
    const Status status = scheduler->wait(group);
    REQUIRE_FALSE(status);
    CHECK_THAT(status.error().message, Catch::StartsWith("node bad on cpu") && Catch::EndsWith(": told to fail"));
    CHECK(scheduler->wait(other));
    CHECK(runs == 0);
    REQUIRE(log.entries.size() == 3);
    for (const auto& entry : log.entries) CHECK((entry.name == "good") == entry.error.empty());

    // Used again, it is as good as new.
    group.reset();
    scheduler->submit(group, counted, {}, {});
    CHECK(scheduler->wait(group));
    CHECK(runs == 1);
  }
}

TEST_CASE("what follows a task that has failed already is not run, in whatever group") {
  for (const Clock clock : {Clock::wall, Clock::simulated}) {
    TestScheduler scheduler(clock, 2);
    int runs = 0;
    const auto bad = make_task("bad", {1us, 1us}, [] { return failure("told to fail"); });
    const auto counted = make_task("counted", {1us, 1us}, [&] {
      ++runs;
      return Status();
    });
    TaskGroup first(scheduler.application());
    const TaskHandle failed = scheduler->submit(first, bad, {}, {});
    CHECK_FALSE(scheduler->wait(first));
    TaskGroup second(scheduler.application());
    scheduler->submit(second, counted, {}, {}, {{failed}});
    const Status status = scheduler->wait(second);
    REQUIRE_FALSE(status);
    CHECK_THAT(status.error().message, Catch::EndsWith(": told to fail"));
    // That it comes after one that has failed says nothing about what it needs.
    TaskHandle earlier = failed;
    earlier.only_order = true;
    TaskGroup third(scheduler.application());
    scheduler->submit(third, counted, {}, {}, {{earlier}});
    CHECK(scheduler->wait(third));
    CHECK(runs == 1);
  }
}

TEST_CASE("10,000 applications in one burst all complete, and their memory is used again") {
  for (const Clock clock : {Clock::wall, Clock::simulated, Clock::model}) {
    TestScheduler scheduler(clock, 2, "FAIR");
    std::atomic<int> runs = 0;
    const auto task = make_task("tiny", {1us, 1us}, [&] {
      ++runs;
      return Status();
    });
    std::deque<TaskGroup> groups;
    for (int i = 0; i < 10000; ++i) {
      TaskGroup& group = groups.emplace_back(scheduler.application("app" + std::to_string(i)));
      const auto first = scheduler->submit(group, task, {}, {});
      scheduler->submit(group, task, {}, {}, {{first}});
    }
    for (TaskGroup& group : groups) REQUIRE(scheduler->wait(group));
    CHECK(runs == (clock == Clock::model ? 0 : 20000));
  }
}

TEST_CASE("memory of tasks is used again") {
  TaskPool pool;
  std::set<Task*> seen;
  std::set<std::uint64_t> ids;
  for (int i = 0; i < 5000; ++i) {
    Task& a = pool.allocate();
    Task& b = pool.allocate();
    seen.insert({&a, &b});
    ids.insert({a.id, b.id});
    a.next = &b;
    pool.release(a, b);
  }
  CHECK(seen.size() <= 512);
  CHECK(ids.size() == 10000);
}

TEST_CASE("completions submit tasks, as many as they like") {
  for (const Clock clock : {Clock::wall, Clock::simulated}) {
    TestScheduler scheduler(clock, 1);
    const auto task = make_task("link", {1us});
    TaskGroup group(scheduler.application());
    Chain chain(*scheduler, group, task, 30000);
    scheduler->submit(group, task, {}, {}, {}, &chain);
    CHECK(scheduler->wait(group));
    CHECK(chain.left() == 0);
    CHECK(chain.good());
  }
}

TEST_CASE("blocking calls from many threads share the cores, and tell their own errors") {
  TestScheduler scheduler(Clock::wall, 2);
  std::atomic<int> runs = 0;
  const auto good = make_task("good", {1us, 1us}, [&] {
    ++runs;
    return Status();
  });
  const auto bad = make_task("bad", {1us, 1us}, [] { return failure("told to fail"); });
  std::vector<std::thread> threads;
  std::atomic<int> errors = 0;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      const auto application = scheduler.application();
      for (int call = 0; call < 1000; ++call) {
        if (!scheduler->call(application, good, {}, {})) ++errors;
        TaskGroup group(application);
        scheduler->submit(group, good, {}, {});
        if (scheduler->call(application, bad, {}, {})) ++errors;
        if (!scheduler->wait(group)) ++errors;
      }
    });
  }
  for (auto& thread : threads) thread.join();
  CHECK(runs == 8000);
  CHECK(errors == 0);
}

TEST_CASE("FAIR starves nobody, and shares by weight") {
  TestScheduler scheduler(Clock::simulated, 1, "FAIR");
  const auto work = make_task("work", {10us});
  TaskGroup heavy(scheduler.application("heavy", 0, 3.0));
  TaskGroup light(scheduler.application("light", 0, 1.0));
  Log heavy_log;
  Log light_log;
  for (int i = 0; i < 3000; ++i) scheduler->submit(heavy, work, {}, {}, {}, &heavy_log);
  scheduler->sleep_until(1ms);
  for (int i = 0; i < 100; ++i) scheduler->submit(light, work, {}, {}, {}, &light_log);
  CHECK(scheduler->wait(light));
  const auto during = std::ranges::count_if(heavy_log.entries, [](const auto& entry) { return entry.end > 1ms; });
  // Of four tasks, one is light: 100 of them within 400.
  CHECK(during >= 290);
  CHECK(during <= 310);
  CHECK(light_log.entries[0].start <= 1ms + 50us);
  CHECK(scheduler->wait(heavy));
}

TEST_CASE("higher priority overtakes what waits, under every policy") {
  for (const auto name : policy_names()) {
    TestScheduler scheduler(Clock::simulated, 1, std::string(name));
    const auto work = make_task("work", {10us});
    const auto urgent = make_task("urgent", {10us});
    TaskGroup low(scheduler.application("low"));
    TaskGroup high(scheduler.application("high", 1));
    for (int i = 0; i < 100; ++i) scheduler->submit(low, work, {}, {});
    scheduler->sleep_until(95us);
    scheduler->submit(high, urgent, {}, {});
    CHECK(scheduler->wait(high));
    CHECK(scheduler->now() == 110us);
    CHECK(scheduler->wait(low));
    CHECK(scheduler->now() == 1010us);
  }
}

TEST_CASE("a policy that answers nonsense, or nothing, ends what it was asked about") {
  struct Case {
    PolicyFunction decide;
    std::string message;
  };
  const std::vector<Case> cases = {
      {[](const Round&, PolicyState&, std::vector<Assignment>&) {}, "left task work although all devices are idle"},
      {[](const Round&, PolicyState&, std::vector<Assignment>& result) {
         result.push_back({0, 9, {}, {}});
       },
       "assigned task work twice, or to a device that cannot run it"},
      {[](const Round&, PolicyState&, std::vector<Assignment>& result) {
         result.push_back({7, 0, {}, {}});
       },
       "assigned task work twice"},
      {[](const Round&, PolicyState&, std::vector<Assignment>& result) {
         result.assign(2, {0, 0, {}, {}});
       },
       "assigned task work twice"},
      {[](const Round&, PolicyState&, std::vector<Assignment>& result) {
         result.push_back({0, 1, {}, {}});
       },
       "to a device that cannot run it"},
  };
  for (const Clock clock : {Clock::wall, Clock::simulated}) {
    for (const Case& nonsense : cases) {
      TestScheduler scheduler(clock, 2, Policy{"TEST", nonsense.decide});
      const auto work = make_task("work", {10us, impossible});
      TaskGroup group(scheduler.application());
      scheduler->submit(group, work, {}, {});
      const Status status = scheduler->wait(group);
      REQUIRE_FALSE(status);
      CHECK_THAT(status.error().message, Catch::StartsWith("policy TEST ") && Catch::Contains(nonsense.message));
    }
  }
}

TEST_CASE("a task that no device can run ends its group with the reason") {
  TestScheduler scheduler(Clock::simulated, 1);
  const auto work = make_task("work", {impossible});
  TaskGroup group(scheduler.application());
  scheduler->submit(group, work, {}, {});
  const Status status = scheduler->wait(group);
  REQUIRE_FALSE(status);
  CHECK(status.error().message == "node work: no device is left that can run it");
}

TEST_CASE("simulated time stands still while a thread that takes part computes") {
  TestScheduler scheduler(Clock::simulated, 1);
  const auto work = make_task("work", {10us});
  std::atomic<bool> entered = false;
  std::atomic<bool> waits = false;
  Time before = impossible;
  Time after = impossible;
  std::thread busy([&] {
    const ApplicationThread part(*scheduler);
    entered = true;
    while (!waits) std::this_thread::yield();
    std::this_thread::sleep_for(5ms);
    before = scheduler->now();
    scheduler->sleep_until(4us);
    after = scheduler->now();
  });
  while (!entered) std::this_thread::yield();
  TaskGroup group(scheduler.application());
  scheduler->submit(group, work, {}, {});
  waits = true;
  CHECK(scheduler->wait(group));
  busy.join();
  CHECK(before == 0us);
  CHECK(after == 4us);
  CHECK(scheduler->now() == 10us);
}

TEST_CASE("several applications in simulated time give the same trace however their threads run") {
  const test::TraceFile file;
  const auto run = [&](const std::string& policy, unsigned seed) {
    {
      auto trace = Trace::open(file.path, {{"cpu0", "cpu1"}, policy, true});
      REQUIRE(trace);
      TestScheduler scheduler(Clock::simulated, 2, policy, trace->get());
      std::vector<std::shared_ptr<const Application>> applications;
      for (int i = 0; i < 3; ++i) applications.push_back(scheduler.application("app" + std::to_string(i)));
      std::atomic<int> here = 0;
      std::atomic<int> failures = 0;
      std::vector<std::thread> threads;
      for (unsigned i = 0; i < 3; ++i) {
        threads.emplace_back([&, i] {
          const ApplicationThread part(*scheduler);
          ++here;
          while (here < 3) std::this_thread::yield();
          std::mt19937 delays(seed + i);
          const auto work = make_task("work" + std::to_string(i), {Time(900 + i), Time(700 + i)});
          TaskGroup group(applications[i]);
          for (int round = 0; round < 10; ++round) {
            std::this_thread::sleep_for(std::chrono::microseconds(delays() % 300));
            for (int count = 0; count < 3; ++count) scheduler->submit(group, work, {}, {});
            failures += scheduler->wait(group) ? 0 : 1;
            scheduler->sleep_until(scheduler->now() + 100ns);
          }
        });
      }
      for (auto& thread : threads) thread.join();
      CHECK(failures == 0);
      REQUIRE((*trace)->finish());
    }
    return file.text();
  };
  for (const auto name : policy_names()) {
    const std::string first = run(std::string(name), 1);
    const auto events = nlohmann::json::parse(first);
    CHECK(std::ranges::count_if(events, [](const auto& event) { return event.value("cat", "") == "action"; }) == 90);
    CHECK(first == run(std::string(name), 100));
  }
}

TEST_CASE("without values, tasks take their time and compute nothing") {
  TestScheduler scheduler(Clock::model, 2);
  bool ran = false;
  const auto work = make_task("work", {10us, 30us}, [&] {
    ran = true;
    return Status();
  });
  TaskGroup group(scheduler.application());
  Log log;
  for (int i = 0; i < 4; ++i) scheduler->submit(group, work, {}, {}, {}, &log);
  CHECK(scheduler->wait(group));
  CHECK_FALSE(ran);
  // Ends at 10, 20, 30 on the first core; for the fourth, 30 on the second is earlier than 40.
  CHECK(scheduler->now() == 30us);
  CHECK(log.entries.size() == 4);
}

TEST_CASE("a weight that is not above 0 is refused") {
  TestScheduler scheduler(Clock::simulated, 1);
  const auto none = scheduler->add_application({"greedy", 0, 0.0});
  REQUIRE_FALSE(none);
  CHECK_THAT(none.error().message, Catch::StartsWith("application greedy: the weight must be above 0"));
}
