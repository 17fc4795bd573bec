/// Runs of one plan, submitted at any time, one after the other.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <vector>

#include "client/client_state.hpp"
#include "scheduler/graph_run.hpp"

namespace cosoc {

/// Copies a tensor before the tasks of a run, or after them.
struct TensorCopy {
  const TaskTemplate* what = nullptr;
  TensorView from;
  TensorView to;
};

/// What a run is besides its plan.
struct RunRequest {
  std::span<const Future> after;
  std::vector<TensorCopy> first = {};
  std::vector<TensorCopy> last = {};
  std::vector<std::shared_ptr<const void>> holds = {};  // until its end
};

/// Made for a plan, which outlives it. Every function may be called from any thread.
class PlanRuns {
 public:
  PlanRuns(const Plan& plan, std::shared_ptr<SessionState> session, std::shared_ptr<const Application> application);
  /// All runs have ended.
  ~PlanRuns() { wait(); }
  PlanRuns(const PlanRuns&) = delete;
  PlanRuns& operator=(const PlanRuns&) = delete;

  Future submit(RunRequest request);
  /// A run that has failed before it began.
  Future refuse(const Error& why) const;
  /// Blocks until all runs have ended.
  void wait() { static_cast<void>(runs_.wait()); }
  /// The last one, if there was any.
  const GraphRun* last() const { return last_run_ ? &last_run_->run : nullptr; }

 private:
  struct Entry {
    Entry(const Plan& plan, const ClientState& of)
        : run(plan, of.application, of.session->scheduler(), of.session->devices()) {}

    GraphRun run;
    std::atomic<bool> in_use = false;  // until nobody holds the call
  };

  std::shared_ptr<Entry> free_run();

  const Plan& plan_;
  ClientState runs_;
  const TaskTemplate end_;  // of a run without copies at its end
  std::mutex mutex_;        // of what follows
  std::vector<std::shared_ptr<Entry>> all_;
  std::shared_ptr<Entry> last_run_;
  std::vector<TaskHandle> last_tasks_;  // that the next run's first ones follow
};

}  // namespace cosoc
