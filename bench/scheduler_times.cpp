/// Measures the scheduler and its policies, and prints the figures as JSON: rounds of policies, calls, tasks, and
/// simulated tasks.
#include <sched.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <iostream>
#include <limits>
#include <nlohmann/json.hpp>
#include <random>
#include <thread>

#include "cosoc/session.hpp"
#include "kernels/operations.hpp"
#include "scheduler/graph_run.hpp"
#include "support/busy.hpp"

using namespace cosoc;
using namespace std::chrono_literals;

namespace {

using bench::Clock;
using bench::thread_seconds;

double microseconds(Clock::duration duration) { return std::chrono::duration<double, std::micro>(duration).count(); }

/// Of repeated measurements, in microseconds.
template <class Body>
double median(int repetitions, const Body& body) {
  std::vector<double> times;
  for (int i = 0; i < repetitions; ++i) {
    const auto start = Clock::now();
    body();
    times.push_back(microseconds(Clock::now() - start));
  }
  std::ranges::nth_element(times, times.begin() + repetitions / 2);
  return times[static_cast<std::size_t>(repetitions) / 2];
}

/// Keeps a core busy for a number of steps of a random generator, or returns at once.
class BusyKernel final : public Kernel {
 public:
  explicit BusyKernel(std::uint64_t steps) : steps_(steps) {}
  std::string_view name() const override { return "busy"; }
  Status check(std::span<const TensorType>, std::span<const TensorType>) const override { return {}; }
  Status run(std::span<const TensorView>, std::span<const TensorView>) const override {
    return bench::busy(steps_) ? Status() : failure("a generator without zero gave zero");
  }
  Work work(std::span<const TensorType>, std::span<const TensorType>) const override { return {}; }
  nlohmann::json attributes() const override { return nlohmann::json::object(); }

 private:
  std::uint64_t steps_;
};

TaskTemplate make_template(Time time, Time expected, std::size_t cores) {
  const std::vector<Time> costs(cores, expected);
  return {.name = "task",
          .kernel = std::make_shared<BusyKernel>(time == Time{} ? 0 : bench::steps_of(time)),
          .costs = CostRow::make(costs, cores, CostRow::Call{"busy", "busy", costs}),
          .movement = {},
          .reason = {}};
}

/// A scheduler over CPU cores alone.
struct Cores {
  Cores(std::size_t cores, bool modelled, Trace* trace = nullptr) {
    for (std::size_t core = 0; core < cores; ++core) {
      devices.push_back({.name = "cpu" + std::to_string(core), .kind = "cpu", .driver = nullptr});
    }
    if (modelled) {
      SoCDescription soc;
      soc.clock_hz = 300000000;
      soc.memory_bytes = 4096;
      platform = std::move(*make_functional_platform(soc));
    } else {
      platform = make_cpu_platform(4096);
    }
    scheduler.emplace(
        SchedulerOptions{.policy = *find_policy("EFT"), .values = modelled ? Values::none : Values::computed}, platform,
        devices, trace, modelled ? nullptr : &learned);
    application = *scheduler->add_application({"bench"});
  }

  AnyPlatform platform;
  std::vector<ComputeDevice> devices;
  CostModel learned;
  std::optional<Scheduler> scheduler;
  std::shared_ptr<const Application> application;
};

/// Time of one round over `count` ready tasks and 6 devices: 4 equal cores and 2 accelerators. All costs differ from
/// task to task.
double measure_round(const std::string& name, std::size_t count) {
  std::mt19937 random(1);
  std::vector<std::array<Time, 6>> costs(count);
  std::vector<ReadyTask> tasks;
  for (auto& row : costs) {
    row.fill(Time(10000 + random() % 1000000));
    for (const std::size_t accelerator : {4, 5}) {
      row[accelerator] = random() % 4 == 0 ? impossible : Time(1000 + random() % 1000000);
    }
    tasks.push_back({.costs = row.data(), .rank = Time(random() % 10000000)});
  }
  const std::vector<DeviceState> devices(6, DeviceState{.running_order = impossible});
  const Policy policy = *find_policy(name);
  PolicyState state;
  std::vector<Assignment> result;
  return median(count > 2000 ? 21 : 101, [&] {
    result.clear();
    policy.decide({tasks, devices}, state, result);
  });
}

/// What a blocking call of an FFT of 8 points takes longer than the kernel alone, medians of single calls.
double measure_call() {
  Cores cores(1, false);
  const TensorType type{DType::complex64, {8}};
  std::array<float, 16> in{1.0F};
  std::array<float, 16> out{};
  const auto view = [&](auto& data) {
    return TensorView{&type, {.data = reinterpret_cast<std::byte*>(data.data()), .physical = 0, .size = 64}};
  };
  const std::array inputs = {view(in)};
  const std::array outputs = {view(out)};
  TaskTemplate what = make_template({}, 1us, 1);
  what.kernel = *make_kernel("fft", {{"direction", "forward"}});
  // Some calls at a time, so that the clock's own time does not count.
  constexpr int calls = 20;
  const double direct = median(3001, [&] {
    for (int i = 0; i < calls; ++i) static_cast<void>(what.kernel->run(inputs, outputs));
  });
  const double scheduled = median(3001, [&] {
    for (int i = 0; i < calls; ++i) static_cast<void>(cores.scheduler->call(cores.application, what, inputs, outputs));
  });
  return (scheduled - direct) / calls;
}

/// From the submission of a call to its start on a sleeping core's thread, and back to the caller.
double measure_round_trip() {
  Cores cores(1, false);
  const TaskTemplate what = make_template({}, 1us, 1);
  return median(1001, [&] {
    TaskGroup group(cores.application);
    cores.scheduler->submit(group, what, {}, {});
    cores.scheduler->wait(group);
  });
}

double measure_tasks_per_second() {
  Cores cores(1, false);
  const TaskTemplate what = make_template({}, 1us, 1);
  constexpr int count = 200000;
  const double time = median(5, [&] {
    TaskGroup group(cores.application);
    for (int i = 0; i < count; ++i) cores.scheduler->submit(group, what, {}, {});
    cores.scheduler->wait(group);
  });
  return count / time * 1e6;
}

Plan make_random_plan(std::size_t count, const TaskTemplate& what) {
  const auto successors = bench::random_successors(count);
  Plan plan;
  plan.tasks.resize(count);
  for (std::size_t i = 0; i < count; ++i) {
    plan.tasks[i].what = what;
    plan.tasks[i].successors = successors[i];
    for (const std::size_t next : successors[i]) ++plan.tasks[next].dependencies;
  }
  return plan;
}

/// Throughput of a random graph of 50 us tasks on 2 workers, against two plain threads that run the same kernels.
double measure_graph_efficiency(std::size_t count) {
  Cores cores(2, false);
  const std::uint64_t steps = bench::steps_of(50us);
  TaskTemplate what = make_template({}, 50us, 2);
  what.kernel = std::make_shared<BusyKernel>(steps);
  const Plan plan = make_random_plan(count, what);
  GraphRun run(plan, cores.application, *cores.scheduler, cores.devices);
  // In turn, and the best of each, because other programs come and go.
  double scheduled = std::numeric_limits<double>::max();
  double plain = scheduled;
  for (int i = 0; i < 3; ++i) {
    scheduled = std::min(scheduled, median(1, [&] {
                           run.start();
                           run.wait();
                         }));
    plain = std::min(plain, bench::time_of_two_threads(count, steps));
  }
  return plain / scheduled;
}

/// Binds every other thread of this process to a core of its own: threads that the system puts on one core for some ms
/// wait for longer than a trace takes.
void bind_threads() {
  const auto cores = static_cast<int>(std::thread::hardware_concurrency());
  int core = 0;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/task")) {
    const pid_t thread = std::stoi(entry.path().filename().string());
    if (thread == ::getpid()) continue;
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(core++ % cores, &set);
    static_cast<void>(::sched_setaffinity(thread, sizeof(set), &set));
  }
}

/// What a trace adds to the time of a random graph of 50 us tasks on 2 workers, in percent.
double measure_trace(std::size_t count) {
  const auto path = std::filesystem::temp_directory_path() / ("cosoc_bench_" + std::to_string(getpid()) + ".json");
  auto trace = Trace::open(path, {{"cpu0", "cpu1"}, "EFT", false});
  if (!trace) return std::numeric_limits<double>::quiet_NaN();
  const TaskTemplate what = make_template(50us, 50us, 2);
  const Plan plan = make_random_plan(count, what);
  // In turn, and the best of each, because other programs come and go.
  std::array best = {std::numeric_limits<double>::max(), std::numeric_limits<double>::max()};
  for (int i = 0; i < 10; ++i) {
    for (const bool traced : {false, true}) {
      Cores cores(2, false, traced ? trace->get() : nullptr);
      bind_threads();
      GraphRun run(plan, cores.application, *cores.scheduler, cores.devices);
      const double time = median(1, [&] {
        run.start();
        run.wait();
      });
      best[traced ? 1 : 0] = std::min(best[traced ? 1 : 0], time);
    }
  }
  std::filesystem::remove(path);
  return 100 * (best[1] / best[0] - 1);
}

/// CPU time of this process per second of idleness, in percent of one core, with threads for 8 cores that have worked.
double measure_idle() {
  Cores cores(8, false);
  const TaskTemplate what = make_template({}, 1us, 8);
  TaskGroup group(cores.application);
  for (int i = 0; i < 1000; ++i) cores.scheduler->submit(group, what, {}, {});
  cores.scheduler->wait(group);
  const auto cpu_seconds = [] {
    timespec time{};
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
    return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
  };
  constexpr double seconds = 1.0;
  const double before = cpu_seconds();
  std::this_thread::sleep_for(std::chrono::duration<double>(seconds));
  return 100 * (cpu_seconds() - before) / seconds;
}

/// By the time of the one thread that simulates, which is not another program's.
double measure_model() {
  Cores cores(4, true);
  constexpr std::size_t count = 200000;
  const Plan plan = make_random_plan(count, make_template({}, 50us, 4));
  GraphRun run(plan, cores.application, *cores.scheduler, cores.devices);
  double best = 0;
  for (int i = 0; i < 5; ++i) {
    const double start = thread_seconds();
    run.start();
    run.wait();
    best = std::max(best, count / (thread_seconds() - start));
  }
  return best;
}

}  // namespace

int main() {
  nlohmann::ordered_json figures;
  for (const std::string name : {"RR", "EFT", "HEFT_RT", "ETF"}) {
    for (const std::size_t count : {100, 1000, 3000, 10000}) {
      figures["round"][name][std::to_string(count)] = measure_round(name, count);
    }
  }
  figures["inprocess_call_overhead_p50_us"] = measure_call();
  figures["round_trip_to_worker_p50_us"] = measure_round_trip();
  figures["tasks_per_second"] = measure_tasks_per_second();
  figures["graph_50us_tasks_efficiency"] = measure_graph_efficiency(100000);
  figures["trace_of_50us_tasks_percent"] = measure_trace(5000);
  figures["idle_cpu_percent"] = measure_idle();
  figures["model_tasks_per_second"] = measure_model();
  std::cout << figures.dump() << "\n";
}
