/// The accelerators that a daemon owns, under one scheduler of their own.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "cosoc/session.hpp"
#include "daemon/slots.hpp"
#include "daemon/types.hpp"
#include "scheduler/scheduler.hpp"
#include "trace/trace.hpp"

namespace cosoc::daemon {

struct AcceleratorOptions {
  Mode mode = Mode::cpu;
  std::filesystem::path soc = {};
  std::optional<std::uint32_t> cpu_cores = {};
  std::string policy = "FAIR";
  std::filesystem::path trace = {};
};

/// A call of a client that was checked, with its expected times.
struct PreparedCall {
  CheckedCall call;
  TaskTemplate what;
};

class Accelerators {
 public:
  static Result<std::unique_ptr<Accelerators>> open(const AcceleratorOptions& options);
  /// Over a platform of the caller's, for tests.
  static Result<std::unique_ptr<Accelerators>> over(const AcceleratorOptions& options, SoCDescription soc,
                                                    std::unique_ptr<WallClockPlatform> platform, Time minimum_deadline);

  const SoCDescription& soc() const { return soc_; }
  std::size_t count() const { return devices_.size(); }
  const std::string& name(std::size_t index) const { return devices_[index].name; }
  /// Null without accelerators.
  DeviceMemory* memory() { return devices_.empty() ? nullptr : &platform().memory(); }
  /// Null without accelerators.
  Scheduler* scheduler() { return scheduler_ ? &*scheduler_ : nullptr; }

  /// Fails when no accelerator can run the call. From any thread; compiling a large layer takes a while.
  Result<std::shared_ptr<const PreparedCall>> prepare(CheckedCall call) const;

  Result<std::unique_ptr<Slot>> make_slot(std::uint64_t bytes);
  /// Forgets what drivers keep for it, and gives it back. Its calls have ended. When an accelerator with an unfinished
  /// transfer cannot be reset, the memory is set aside until it can be.
  void end_slot(std::unique_ptr<Slot> slot);
  /// Gives memory that `end_slot` could not give back to others, if every accelerator can be reset now; whether there
  /// was any.
  bool reclaim();

 private:
  explicit Accelerators(SoCDescription soc) : soc_(std::move(soc)) {}
  Platform& platform();
  Status open_devices();
  bool all_at_rest();

  SoCDescription soc_;
  AnyPlatform platform_;
  std::vector<ComputeDevice> devices_;
  bool copies_ = false;                      // memory of clients lies outside of device memory
  std::vector<std::unique_ptr<Slot>> lost_;  // memory that an accelerator might still write to
  std::unique_ptr<Trace> trace_;
  std::optional<Scheduler> scheduler_;  // last: its threads end first
};

}  // namespace cosoc::daemon
