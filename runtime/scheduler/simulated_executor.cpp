#include <algorithm>
#include <condition_variable>
#include <list>
#include <vector>

#include "scheduler/simulated_devices.hpp"

namespace cosoc {
namespace {

/// The executor whose time stands still unless the calling thread waits.
thread_local const Executor* entered = nullptr;

/// Time passes while every thread that takes part waits; one of them carries it
/// on, until another has something to do.
class SimulatedExecutor final : public Executor {
 public:
  SimulatedExecutor(SimulatedPlatform& platform, std::span<ComputeDevice> devices, Dispatcher& dispatcher,
                    Settle settle, Values values, Time minimum_deadline)
      : devices_(platform, devices, dispatcher, values, minimum_deadline),
        dispatcher_(dispatcher),
        settle_(std::move(settle)) {}

  Time now() const override {
    const std::lock_guard lock(mutex_);
    return now_;
  }

  void submit(Task& first, Task& last) override {
    const std::lock_guard lock(mutex_);
    const auto size = static_cast<std::ptrdiff_t>(inbox_.size());
    for (Task* task = &first;; task = task->next) {
      inbox_.push_back(task);
      if (task == &last) break;
    }
    std::reverse(inbox_.begin() + size, inbox_.end());
    arrived_.notify_one();
  }

  void wait(const TaskGroup& group) override {
    Waiter waiter{.group = &group};
    wait(waiter);
  }

  void sleep_until(Time time) override {
    Waiter waiter{.time = time};
    wait(waiter);
  }

  bool lend(const TaskTemplate&, std::span<const TensorView>, std::span<const TensorView>, LentCall&) override {
    return false;
  }

  void enter() override {
    const std::lock_guard lock(mutex_);
    entered = this;
    ++threads_;
    arrived_.notify_one();
  }

  void leave() override {
    const std::lock_guard lock(mutex_);
    entered = nullptr;
    --threads_;
    wake_all_waiting();
  }

 private:
  /// A thread that waits for a group or for a time.
  struct Waiter {
    const TaskGroup* group = nullptr;
    Time time = Time::max();
    bool satisfied = false;
    std::condition_variable changed = {};
  };

  void wait(Waiter& me) {
    std::unique_lock lock(mutex_);
    const bool visits = entered != this;
    if (visits) ++threads_;
    ++waiting_;
    waiters_.push_back(&me);
    arrived_.notify_one();
    release_satisfied();
    while (!me.satisfied) {
      if (driven_ || waiting_ < threads_) {
        me.changed.wait(lock);
      } else {
        drive(lock);
      }
    }
    waiters_.remove(&me);
    if (!visits) return;
    --threads_;
    wake_all_waiting();
  }

  /// When all threads that are left wait, one of them has to carry time on.
  void wake_all_waiting() {
    if (driven_ || waiting_ < threads_) return;
    for (Waiter* waiter : waiters_) waiter->changed.notify_one();
  }

  /// Threads that have what they waited for take part again from this moment,
  /// not from when they wake.
  void release_satisfied() {
    for (Waiter* waiter : waiters_) {
      if (waiter->satisfied) continue;
      waiter->satisfied = waiter->group != nullptr ? waiter->group->ended() : waiter->time <= now_;
      if (!waiter->satisfied) continue;
      --waiting_;
      waiter->changed.notify_one();
    }
  }

  void drive(std::unique_lock<std::mutex>& lock) {
    driven_ = true;
    while (waiting_ == threads_) {
      std::vector<Task*> submitted = take_inbox();
      Time limit = Time::max();
      for (const Waiter* waiter : waiters_) limit = std::min(limit, waiter->time);
      lock.unlock();
      Task* ended = run(submitted, limit);
      if (ended != nullptr) settle_(ended);
      lock.lock();
      now_ = devices_.now();
      release_satisfied();
      // Somebody who takes no part is about to submit what the others wait for.
      if (ended == nullptr && idle_ && inbox_.empty() && waiting_ == threads_) arrived_.wait(lock);
    }
    driven_ = false;
  }

  /// In an order that does not depend on which thread was faster.
  std::vector<Task*> take_inbox() {
    std::ranges::stable_sort(inbox_, {}, [](const Task* task) { return task->group->application().id; });
    return std::exchange(inbox_, {});
  }

  /// Starts and steps, until tasks have ended, which are returned, or the time
  /// is `limit`.
  Task* run(const std::vector<Task*>& submitted, Time limit) {
    const std::lock_guard lock(driver_mutex_);
    for (Task* task : submitted) devices_.admit(*task);
    devices_.start_tasks();
    idle_ = false;
    // What ended without taking any time is told before time passes.
    if (Task* ended = dispatcher_.take_ended(); ended != nullptr) return ended;
    idle_ = limit == Time::max() && !devices_.busy();
    if (!idle_) devices_.step(limit);
    return dispatcher_.take_ended();
  }

  // Who drives has these alone.
  SimulatedDevices devices_;
  bool idle_ = false;  // nothing will happen without new tasks
  Dispatcher& dispatcher_;
  const Settle settle_;

  mutable std::mutex mutex_;  // of everything below
  std::condition_variable arrived_;
  std::vector<Task*> inbox_;
  std::list<Waiter*> waiters_;
  std::size_t threads_ = 0;  // that take part
  std::size_t waiting_ = 0;  // of them
  bool driven_ = false;
  Time now_{};
};

}  // namespace

std::unique_ptr<Executor> make_simulated_executor(SimulatedPlatform& platform, std::span<ComputeDevice> devices,
                                                  Dispatcher& dispatcher, Executor::Settle settle, Values values,
                                                  Time minimum_deadline) {
  return std::make_unique<SimulatedExecutor>(platform, devices, dispatcher, std::move(settle), values,
                                             minimum_deadline);
}

}  // namespace cosoc
