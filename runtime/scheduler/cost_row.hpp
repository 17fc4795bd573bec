/// Expected times of one call on every device.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "cost/cost_model.hpp"
#include "policies/policy.hpp"

namespace cosoc {

/// Which devices learn together: of equal kinds and parameters.
struct CostClasses {
  std::vector<std::uint32_t> of_device;
  std::vector<std::string> names;
};

/// Expected times of one kernel with one set of shapes, shared by all its tasks. What is not atomic is the dispatcher's
/// as soon as one of them was submitted: it corrects them by what it measures.
class CostRow {
 public:
  /// What the times were made from.
  struct Call {
    std::string kernel;
    std::string description;      // see `describe_call`
    std::vector<Time> estimates;  // by device, of the analytic model
  };

  /// `costs` by device, `impossible` where it may not run; the first `cpu_cores` are CPU cores. Without a call nothing
  /// is learned.
  static std::shared_ptr<CostRow> make(std::vector<Time> costs, std::size_t cpu_cores, std::optional<Call> call = {});

  const std::vector<Time>& all() const { return all_; }
  /// A copy of them, for any thread.
  std::vector<Time> snapshot() const;
  /// The same without accelerators: what is left when one has failed.
  const std::vector<Time>& cpu() const { return cpu_; }
  /// Of the call; empty without one.
  std::string description() const { return call_ ? call_->description : std::string(); }
  /// Over the devices that may run it.
  Time mean() const { return Time(mean_.load(std::memory_order_relaxed)); }
  /// Short, and no accelerator is faster than a CPU core.
  bool lendable() const { return lendable_.load(std::memory_order_relaxed); }

  /// Whether to time the call that runs on its caller's thread now: the first ones and then every 64th, because the
  /// clock takes as long as a tiny call. From any thread.
  bool samples_next() const;

  /// Takes what a task needed on a device; what is known by now of the device's class, when that has changed.
  std::optional<CostEntry> measure(std::size_t device, Time time, const CostClasses& classes);

 private:
  void summarize();

  std::size_t cpu_cores_ = 0;
  mutable std::mutex mutex_;  // of changes of `all_`, and of what others than the dispatcher read of it
  std::vector<Time> all_;
  std::vector<Time> cpu_;
  std::atomic<std::int64_t> mean_ = 0;
  std::atomic<bool> lendable_ = false;
  mutable std::atomic<std::uint32_t> lent_ = 0;  // calls on their callers' threads; some may be missed
  std::optional<Call> call_;
  std::vector<MeasuredTime> measured_;  // by class
};

}  // namespace cosoc
