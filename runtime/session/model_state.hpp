/// What a loaded model owns.
#pragma once

#include <deque>
#include <mutex>
#include <optional>

#include "client/plan_runs.hpp"
#include "session/session_state.hpp"

namespace cosoc {

/// Memory for one run at a time, and its tasks.
struct Lane {
  Lane(Plan own, const std::shared_ptr<const Application>& application, SessionState& session)
      : plan(std::move(own)), run(plan, application, session.scheduler(), session.devices()) {}

  Plan plan;
  GraphRun run;
};

/// A run's operands in host memory: dense, of as many samples each.
struct Samples {
  std::span<const std::span<const std::byte>> inputs;
  std::span<const std::span<std::byte>> outputs;
  std::size_t count;
};

/// The graph stays where it is, because the plans refer to it.
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
    lanes.clear();
  }

  /// Plans the first lane.
  Status plan(std::shared_ptr<const Application> owner);
  /// Waits for the runs that were submitted, and keeps what the last one left. Under `mutex`.
  void settle();
  /// Runs all samples, in batches of the graph's size on as many lanes as there are devices and memory. Under `mutex`.
  Status run(const Samples& samples);
  /// The templates of the copies of inputs and outputs. Under `mutex`.
  Status make_copies();

  std::shared_ptr<SessionState> session;
  const Graph graph;
  std::shared_ptr<const Application> application;
  std::deque<Lane> lanes;        // the first has the constants
  std::optional<PlanRuns> runs;  // those that are submitted, on the first lane
  std::mutex mutex;              // of a run and of what it leaves
  std::vector<TaskTemplate> copies;
  std::optional<Future> submitted;  // the last run, if it was
  const Lane* last = nullptr;       // of the last run, if that succeeded
  RunReport report;

 private:
  PlanOptions plan_options() const;
  /// Adds lanes up to `count`, or as many as fit device memory.
  void add_lanes(std::size_t count);
  void start(Lane& lane, const Samples& samples, std::size_t batch);
  void fetch_outputs(const Lane& lane, const Samples& samples, std::size_t batch) const;
};

}  // namespace cosoc
