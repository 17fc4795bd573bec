/// Non-blocking calls on their way, and the thread that tells their ends to the application's barriers.
#pragma once

#include <array>
#include <atomic>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "dash_types.h"
#include "scheduler/scheduler.hpp"

namespace cosoc::cedr {

struct Prepared;
class Completions;

/// A call from its submission until its barrier has counted it. Used again and again.
struct PendingCall final : Completion {
  explicit PendingCall(std::shared_ptr<const Application> application)
      : Completion(false), group(std::move(application)) {}
  void complete(const Task& task, const Status& status) override;

  TaskGroup group;
  std::array<TensorView, 2> inputs;
  TensorView output;
  std::optional<cedr_barrier_t> barrier;
  const Prepared* prepared = nullptr;
  std::shared_ptr<const Prepared> owned;  // one that no cache keeps
  std::vector<std::byte> copy;            // of an input that overlaps the output
  Completions* completions = nullptr;
  PendingCall* next = nullptr;
  bool has_ended = false;
};

/// The thread never blocks on a mutex of the application as long as another barrier can be told, so an application may
/// hold one barrier's mutex while it waits for another. It takes many ends of one barrier together, and sleeps while
/// there is nothing to do.
///
/// In simulated time it also carries time on while calls are on their way: from the moment when the application has let
/// go of a barrier's mutex, because until then it is still submitting.
class Completions {
 public:
  Completions(Scheduler& scheduler, std::shared_ptr<const Application> application, bool simulated);

  /// A call to fill in. On the wall clock it waits while `most_on_their_way` are.
  PendingCall& allocate();
  /// Before a filled in call is submitted, and after.
  void expect(PendingCall& call);
  void submitted();
  /// A call has ended. From any thread.
  void end(PendingCall& call);

 private:
  /// Calls of one barrier that have ended, but were not told.
  struct Told {
    std::optional<cedr_barrier_t> barrier;
    std::uint32_t count;
  };
  struct Expected {
    std::optional<cedr_barrier_t> barrier;
    PendingCall* call;
  };

  static constexpr std::uint32_t most_on_their_way = 1 << 16;

  [[noreturn]] void work();
  void wait_for_room();
  void wake();
  void collect(std::vector<Told>& told);
  static void tell(std::vector<Told>& told);
  bool carry_on();

  Scheduler& scheduler_;
  const std::shared_ptr<const Application> application_;
  const bool simulated_;
  std::atomic<std::uint32_t> on_their_way_ = 0;
  std::atomic<std::uint32_t> news_ = 0;        // counts what the thread has to look at
  std::atomic<PendingCall*> ended_ = nullptr;  // linked, the latest first
  std::atomic<PendingCall*> returned_ = nullptr;
  std::mutex mutex_;  // of what follows
  PendingCall* free_ = nullptr;
  std::vector<std::unique_ptr<PendingCall>> all_;
  std::vector<PendingCall*> expected_;  // simulated only: submitted
};

}  // namespace cosoc::cedr
