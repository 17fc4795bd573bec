/// What a session owns; tests make one over a platform of their own.
#pragma once

#include <memory>
#include <variant>
#include <vector>

#include "cosoc/session.hpp"
#include "scheduler/executor.hpp"

namespace cosoc {

using AnyPlatform = std::variant<std::unique_ptr<WallClockPlatform>, std::unique_ptr<SimulatedPlatform>>;

class SessionState {
 public:
  /// Opens a driver for every accelerator of `soc`, the trace and the executor.
  static Result<std::shared_ptr<SessionState>> make(const SessionOptions& options, const SoCDescription& soc,
                                                    AnyPlatform platform);

  Status run(const Plan& plan, RunReport& report);
  Platform& platform();

  const SessionOptions& options() const { return options_; }
  const SoCDescription& soc() const { return soc_; }
  std::span<const ComputeDevice> devices() const { return devices_; }

 private:
  SessionState(const SessionOptions& options, const SoCDescription& soc, AnyPlatform platform)
      : options_(options), soc_(soc), platform_(std::move(platform)) {}
  Status open_devices();
  void make_executor();

  SessionOptions options_;
  SoCDescription soc_;
  AnyPlatform platform_;
  std::vector<ComputeDevice> devices_;
  Policy policy_{};
  PolicyState policy_state_;
  std::unique_ptr<Trace> trace_;
  std::unique_ptr<Executor> executor_;  // last: its threads end first
};

}  // namespace cosoc
