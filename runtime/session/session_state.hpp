/// What a session owns; tests make one over a platform of their own.
#pragma once

#include <memory>
#include <vector>

#include "cosoc/session.hpp"
#include "scheduler/scheduler.hpp"

namespace cosoc {

class SessionState {
 public:
  /// Opens a driver for every accelerator of `soc`, the trace and the scheduler.
  static Result<std::shared_ptr<SessionState>> make(const SessionOptions& options, const SoCDescription& soc,
                                                    AnyPlatform platform);

  ~SessionState();
  SessionState(const SessionState&) = delete;
  SessionState& operator=(const SessionState&) = delete;

  Platform& platform();
  Scheduler& scheduler() { return *scheduler_; }
  /// The most device memory that was in use at a time. From any thread that does not hold the drivers' lock.
  std::size_t peak_memory_bytes();
  /// Whether time is simulated.
  bool is_simulated() const { return std::holds_alternative<std::unique_ptr<SimulatedPlatform>>(platform_); }
  /// Completes the file of the trace, if there is one.
  Status finish_trace();
  const CostModel& costs() const { return costs_; }
  /// Writes the measured costs, if there is a file for them.
  Status save_costs();
  /// The device with this name, or an error that lists them.
  Result<std::size_t> find_device(const std::string& name) const;

  const SessionOptions& options() const { return options_; }
  /// The deadline of a model or client that asks for this one.
  Time deadline_of(std::optional<Time> own) const { return own.value_or(options_.deadline.value_or(impossible)); }
  /// Of one that was opened before it was known what for; before its first model or client.
  void set_deadline(std::optional<Time> deadline) { options_.deadline = deadline; }
  const SoCDescription& soc() const { return soc_; }
  std::span<const ComputeDevice> devices() const { return devices_; }

 private:
  SessionState(const SessionOptions& options, const SoCDescription& soc, AnyPlatform platform)
      : options_(options), soc_(soc), platform_(std::move(platform)) {}
  /// Of what measured costs are: the board, or "cpu" for this machine's cores.
  std::string costs_board() const { return soc_.board.empty() ? "cpu" : soc_.board; }
  Status load_costs();
  Status open_devices();
  void make_scheduler(Policy policy);

  SessionOptions options_;
  SoCDescription soc_;
  AnyPlatform platform_;
  std::vector<ComputeDevice> devices_;
  CostModel costs_;
  std::unique_ptr<Trace> trace_;
  std::unique_ptr<Scheduler> scheduler_;  // last: its threads end first
};

/// Opens the session that this process's next `Session::open` over a daemon takes, if it has no wishes of its own: what
/// a process does that waits for an application.
Status keep_session_ready(const std::filesystem::path& socket);
/// Goes the way of an application's first steps on it, so that code and data are near when the application does. Does
/// nothing when it was taken.
void rehearse_ready_session();
/// Closes it, if it was not taken.
void drop_ready_session();

}  // namespace cosoc
