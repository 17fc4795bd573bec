#include <algorithm>
#include <chrono>
#include <deque>
#include <thread>

#include "scheduler/accelerator_call.hpp"
#include "scheduler/executor.hpp"
#include "scheduler/remote.hpp"

namespace cosoc {
namespace {

using Clock = std::chrono::steady_clock;

/// A device's thread takes short tasks that nobody waits for one by one in
/// batches of at most this number and expected time, because handing over costs
/// as much as they do.
constexpr int batch_tasks = 64;
constexpr Time batch_time = std::chrono::microseconds(100);

/// Each gives way to other threads, which takes 0.1 to 0.3 us.
constexpr int looks_before_sleep = 100;

/// What a device's thread is doing. Only who holds the dispatcher makes it
/// busy, and idle again.
enum class Occupation : std::uint8_t {
  idle,
  busy,
  lent,         // a caller runs a task in its place
  lent_wanted,  // and there is work for it
};

/// A device's thread and what is handed over to it.
struct Worker {
  enum Signal : std::uint32_t { none, mail, stop };

  std::atomic<std::uint32_t> signal = none;
  std::atomic<Occupation> occupation = Occupation::idle;
  std::atomic<bool> lendable = true;
  Task* tasks = nullptr;  // linked; the worker's from the signal on, until they come back
  std::thread thread;

  void send(Signal message) {
    signal.store(message, std::memory_order_release);
    signal.notify_one();
  }
};

/// Nobody waits for the dispatcher: whoever has news puts them into the inbox
/// and works off the inbox if nobody else is at it; the one who is looks into
/// it again before he leaves.
class WallClockExecutor final : public Executor {
 public:
  WallClockExecutor(WallClockPlatform& platform, std::span<ComputeDevice> devices, Dispatcher& dispatcher,
                    Settle settle, Time minimum_deadline)
      : platform_(platform),
        remote_(dynamic_cast<Remote*>(&platform)),
        devices_(devices),
        dispatcher_(dispatcher),
        settle_(std::move(settle)),
        minimum_deadline_(minimum_deadline),
        workers_(devices.size()) {
    for (std::size_t device = 0; device < devices.size(); ++device) {
      workers_[device].thread = std::thread([this, device] { work(device); });
    }
  }

  ~WallClockExecutor() override {
    for (Worker& worker : workers_) worker.send(Worker::stop);
    for (Worker& worker : workers_) worker.thread.join();
  }

  Time now() const override { return std::chrono::duration_cast<Time>(Clock::now() - opened_); }

  /// While all devices are busy, nothing could start: the first that is not will find what was posted, and decide over
  /// all of it at once. The same argument as for `work_off_inbox`: posting comes before looking at devices, and a
  /// device that becomes idle before looking at the inbox.
  void submit(Task& first, Task& last) override {
    const bool order = first.order_to_device != DeviceOrder::none;
    post(first, last);
    if (order || !all_busy()) work_off_inbox();
  }

  void wait(const TaskGroup& group) override {
    while (const std::uint32_t pending = group.pending.load(std::memory_order_acquire)) group.pending.wait(pending);
  }

  void sleep_until(Time time) override { std::this_thread::sleep_until(opened_ + time); }

  bool lend(const TaskTemplate& what, std::span<const TensorView> inputs, std::span<const TensorView> outputs,
            LentCall& call) override {
    for (std::size_t device = 0; device < devices_.size() && devices_[device].is_cpu(); ++device) {
      std::atomic<Occupation>& occupation = workers_[device].occupation;
      Occupation expected = Occupation::idle;
      if (occupation.load(std::memory_order_relaxed) != expected) continue;
      if (!workers_[device].lendable.load(std::memory_order_relaxed)) continue;
      if (!occupation.compare_exchange_strong(expected, Occupation::lent)) continue;
      const bool ran = run_lent(device, what, inputs, outputs, call);
      if (occupation.exchange(Occupation::idle) == Occupation::lent_wanted) {
        core_returned_.store(true);  // for who is at the inbox, and has passed this core already
        work_off_inbox();
      }
      return ran;
    }
    return false;
  }

  void enter() override {}
  void leave() override {}

 private:
  /// Puts a list, later tasks first, in front of the inbox.
  void post(Task& first, Task& last) {
    last.next = inbox_.load(std::memory_order_relaxed);
    while (!inbox_.compare_exchange_weak(last.next, &first)) {
    }
  }

  bool all_busy() const {
    const auto busy = [](const Worker& worker) { return worker.occupation.load() == Occupation::busy; };
    return std::ranges::all_of(workers_, busy);
  }

  /// Works off what has arrived, unless another thread is at it and will see
  /// it. Sequential consistency makes sure that one of the two sees what was
  /// posted: posting comes before looking at `dispatching_`, and leaving before
  /// looking at the inbox.
  void work_off_inbox() {
    thread_local const WallClockExecutor* settling = nullptr;
    if (settling == this) return;  // a completion submits: the loop below goes on with it
    do {
      if (dispatching_.exchange(true)) return;
      dispatch();
      Task* ended = dispatcher_.take_ended();
      dispatching_.store(false);
      if (ended == nullptr) continue;
      const WallClockExecutor* outer = std::exchange(settling, this);
      settle_(ended);
      settling = outer;
    } while (inbox_.load() != nullptr || core_returned_.load());
  }

  /// A call on the calling thread, in place of the device's; false when the daemon has no core to spare.
  bool run_lent(std::size_t device, const TaskTemplate& what, std::span<const TensorView> inputs,
                std::span<const TensorView> outputs, LentCall& call) {
    std::optional<Remote::Core> core;
    if (remote_ != nullptr) {
      core = remote_->try_take_core(device);
      if (!core) return false;
    }
    call.device = device;
    if (call.timed) call.start = now();
    if (auto done = what.kernel->run(inputs, outputs); !done) {
      call.status = failure("node " + what.name + " on " + devices_[device].name + ": " + done.error().message);
    }
    if (call.timed) call.end = now();
    if (core) remote_->give_core(*core);
    return true;
  }

  /// The only thread in here.
  void dispatch() {
    core_returned_.store(false);
    Task* reversed = inbox_.exchange(nullptr);
    Task* list = nullptr;
    while (reversed != nullptr) {
      Task* next = reversed->next;
      reversed->next = list;
      list = reversed;
      reversed = next;
    }
    const Time time = now();
    if (remote_ != nullptr) find_absent();
    while (list != nullptr) {
      Task& task = *list;
      list = task.next;
      if (task.order_to_device != DeviceOrder::none) {
        carry_out(task, time);
      } else if (task.outcome == Outcome::pending) {
        dispatcher_.admit(task, time);
      } else {
        take_back(task);
      }
    }
    dispatcher_.schedule(time);
    for (std::size_t device = 0; device < devices_.size(); ++device) hand_over(device, time);
    dispatcher_.write_round();
  }

  /// Accelerators that the daemon took out, or has again.
  void find_absent() {
    const std::uint32_t absent = remote_->absent();
    if (absent == absent_) return;
    for (std::size_t device = 0; device < devices_.size(); ++device) {
      if (devices_[device].is_cpu()) continue;
      const std::uint32_t bit = 1U << devices_[device].accelerator;
      if (((absent ^ absent_) & bit) != 0) dispatcher_.set_absent(device, (absent & bit) != 0);
    }
    absent_ = absent;
  }

  /// The dispatcher may reset the driver. A core that is removed is not lent either.
  void carry_out(Task& order, Time time) {
    if (order.order_to_device == DeviceOrder::learn) return dispatcher_.admit(order, time);
    const std::size_t device = order.planned_device;
    const std::lock_guard lock(driver_mutex_);
    dispatcher_.admit(order, time);
    const bool usable = dispatcher_.status(device).condition == DeviceCondition::working;
    workers_[device].lendable.store(usable, std::memory_order_relaxed);
  }

  void take_back(Task& task) {
    const std::size_t device = task.device;
    dispatcher_.finish(task);
    if (dispatcher_.running(device) == 0) workers_[device].occupation.store(Occupation::idle);
  }

  void hand_over(std::size_t device, Time time) {
    Worker& worker = workers_[device];
    if (!dispatcher_.has_work(device)) return;
    Occupation expected = Occupation::idle;
    while (!worker.occupation.compare_exchange_weak(expected, Occupation::busy)) {
      if (expected == Occupation::busy || expected == Occupation::lent_wanted) return;
      // Who has the core gives it back to us, unless it is back already.
      if (expected == Occupation::lent && worker.occupation.compare_exchange_weak(expected, Occupation::lent_wanted))
        return;
      expected = Occupation::idle;
    }
    Task** end = &worker.tasks;
    Time total{};
    for (int count = 0; count < batch_tasks && dispatcher_.has_work(device); ++count) {
      Task& task = dispatcher_.start(device, time);
      *end = &task;
      end = &task.next;
      total += task.cost;
      const bool awaited = (task.completion != nullptr && task.completion->awaited()) || !task.successors.empty() ||
                           !task.waiting.empty();
      if (awaited || total > batch_time || !devices_[device].is_cpu()) break;
    }
    *end = nullptr;
    worker.send(Worker::mail);
  }

  /// Who is deciding is done within microseconds, and may have work for us; to sleep and be woken takes tens of them.
  /// What came too late for him is decided here, while he settles.
  void await_signal(const Worker& worker) {
    for (int i = 0; i < looks_before_sleep && worker.signal.load() == Worker::none; ++i) {
      if (dispatching_.load()) {
        std::this_thread::yield();
      } else if (inbox_.load() != nullptr) {
        work_off_inbox();
      } else {
        break;
      }
    }
    worker.signal.wait(Worker::none, std::memory_order_acquire);
  }

  /// A device's thread.
  void work(std::size_t device) {
    Worker& worker = workers_[device];
    while (true) {
      await_signal(worker);
      if (worker.signal.exchange(Worker::none, std::memory_order_acquire) == Worker::stop) return;
      Task* list = nullptr;
      Task* last = worker.tasks;  // at least one
      std::optional<Remote::Core> core;
      if (remote_ != nullptr && devices_[device].is_cpu()) core = remote_->take_core(device);
      Time time = now();
      Task* task = last;
      do {
        Task* next = task->next;
        task->start = time;
        run(device, *task);
        task->end = time = now();
        task->next = list;
        list = task;
        task = next;
      } while (task != nullptr);
      if (core) remote_->give_core(*core);
      post(*list, *last);
      work_off_inbox();
    }
  }

  void run(std::size_t device, Task& task) {
    if (!devices_[device].is_cpu()) {
      if (remote_ != nullptr) return run_remotely(*remote_, platform_, devices_[device], task, driver_mutex_);
      const Time deadline = std::max(minimum_deadline_, task.cost * deadline_factor);
      return run_on_accelerator(platform_, devices_[device], task, deadline, driver_mutex_);
    }
    if (auto done = task.what->kernel->run(task.inputs, task.outputs); !done) {
      task.outcome = Outcome::failed;
      task.note = done.error().message;
    } else {
      task.outcome = Outcome::done;
    }
  }

  WallClockPlatform& platform_;
  Remote* const remote_;  // a daemon's platform; otherwise none
  std::span<ComputeDevice> devices_;
  Dispatcher& dispatcher_;
  const Settle settle_;
  const Time minimum_deadline_;
  const Clock::time_point opened_ = Clock::now();

  std::atomic<Task*> inbox_ = nullptr;       // submitted and come back, the latest first
  std::atomic<bool> core_returned_ = false;  // for which there is work
  std::atomic<bool> dispatching_ = false;
  std::uint32_t absent_ = 0;    // as the daemon last told
  std::deque<Worker> workers_;  // by device
};

}  // namespace

std::unique_ptr<Executor> make_wall_clock_executor(WallClockPlatform& platform, std::span<ComputeDevice> devices,
                                                   Dispatcher& dispatcher, Executor::Settle settle,
                                                   Time minimum_deadline) {
  return std::make_unique<WallClockExecutor>(platform, devices, dispatcher, std::move(settle), minimum_deadline);
}

}  // namespace cosoc
