/// Executors carry tasks out: in simulated time, or on threads against the wall
/// clock.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <span>

#include "device/platform.hpp"
#include "scheduler/compute_device.hpp"
#include "scheduler/dispatcher.hpp"

namespace cosoc {

/// A task on an accelerator that fails or hangs is tried this often before the
/// accelerator is quarantined. A second attempt is safe: inputs are never
/// overwritten before their readers end.
inline constexpr int max_attempts = 2;
/// A task gets this many times its estimate, and at least the executor's
/// minimum, before it counts as hung.
inline constexpr int deadline_factor = 100;

/// A call that ran on its caller's thread in place of a CPU core.
struct LentCall {
  bool timed = false;  // whether start and end are wanted
  std::size_t device = 0;
  Time start{};
  Time end{};
  Status status;
};

/// All functions may be called from any thread.
class Executor {
 public:
  /// Told about tasks that have ended, linked by `next`; may submit tasks.
  using Settle = std::function<void(Task*)>;

  Executor() = default;
  virtual ~Executor() = default;
  Executor(const Executor&) = delete;
  Executor& operator=(const Executor&) = delete;

  /// Since the executor was made.
  virtual Time now() const = 0;
  /// Takes tasks, linked by `next` from `first` to `last`, later ones first.
  virtual void submit(Task& first, Task& last) = 0;
  /// Blocks until the group has ended.
  virtual void wait(const TaskGroup& group) = 0;
  /// Blocks until the clock is there.
  virtual void sleep_until(Time time) = 0;
  /// Runs a call on the calling thread in place of an idle CPU core; false when
  /// there is none.
  virtual bool lend(const TaskTemplate& what, std::span<const TensorView> inputs, std::span<const TensorView> outputs,
                    LentCall& call) = 0;

  /// The calling thread takes part in the application: simulated time stands
  /// still unless it waits. Threads that did not enter take part only while
  /// they wait.
  virtual void enter() = 0;
  virtual void leave() = 0;

  /// Keeps the executor away from all drivers and from the simulated platform.
  std::unique_lock<std::mutex> lock_drivers() { return std::unique_lock(driver_mutex_); }

 protected:
  std::mutex driver_mutex_;
};

/// Whether tasks compute, or only take their time.
enum class Values { computed, none };

/// Simulated time, the same result every time. CPU tasks compute at once on the
/// host and occupy a modelled core for their modelled time; accelerators take
/// the time that the platform says, or without values the modelled one. It has
/// no thread: one of those that wait carries it on.
std::unique_ptr<Executor> make_simulated_executor(SimulatedPlatform& platform, std::span<ComputeDevice> devices,
                                                  Dispatcher& dispatcher, Executor::Settle settle, Values values,
                                                  Time minimum_deadline);

/// One thread per device. A CPU core's thread computes; an accelerator's waits
/// for the interrupt. Nobody spins.
std::unique_ptr<Executor> make_wall_clock_executor(WallClockPlatform& platform, std::span<ComputeDevice> devices,
                                                   Dispatcher& dispatcher, Executor::Settle settle,
                                                   Time minimum_deadline);

}  // namespace cosoc
