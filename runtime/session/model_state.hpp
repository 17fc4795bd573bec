/// What a loaded model owns.
#pragma once

#include <mutex>
#include <optional>

#include "client/plan_runs.hpp"
#include "session/session_state.hpp"

namespace cosoc {

/// The graph stays where it is, because the plan refers to it.
class ModelState {
 public:
  ModelState(std::shared_ptr<SessionState> owner, Graph model_graph)
      : session(std::move(owner)), graph(std::move(model_graph)) {}
  ModelState(const ModelState&) = delete;
  ModelState& operator=(const ModelState&) = delete;
  ~ModelState() {
    runs.reset();
    // Device memory is given back under the lock of those that take it.
    const auto lock = session->scheduler().lock_drivers();
    plan.reset();
  }

  /// Waits for the runs that were submitted, and keeps what the last one left. Under `mutex`.
  void settle();
  /// Runs on one batch of the graph's size. Under `mutex`.
  Status run_once(std::span<const std::span<const std::byte>> inputs, std::span<const std::span<std::byte>> outputs);
  /// Runs fewer samples than the graph's batch, whose place the last one takes. Under `mutex`.
  Status run_part(std::span<const std::span<const std::byte>> inputs, std::span<const std::span<std::byte>> outputs,
                  std::size_t samples);
  /// The templates of the copies of inputs and outputs. Under `mutex`.
  Status make_copies();

  std::shared_ptr<SessionState> session;
  const Graph graph;
  std::optional<Plan> plan;
  std::optional<GraphRun> run;
  std::optional<PlanRuns> runs;  // those that are submitted
  std::mutex mutex;              // of a run and of what it leaves
  std::vector<TaskTemplate> copies;
  std::optional<Future> submitted;  // the last run, if it was
  RunReport report;
  bool has_run = false;
};

}  // namespace cosoc
