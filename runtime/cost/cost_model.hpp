/// What measurement says of expected times: a ratio for each kind of device and each call, learned while tasks run.
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <map>
#include <mutex>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "device/platform.hpp"
#include "kernels/kernel.hpp"

namespace cosoc {

/// The median of the last times that were measured: a task that was interrupted, or found cold caches, does not count.
class MeasuredTime {
 public:
  /// Before so many nothing is known.
  static constexpr std::uint32_t least_samples = 3;

  /// True when the median may have changed.
  bool add(Time time);
  bool known() const { return count_ >= least_samples; }
  Time median() const { return median_; }
  std::uint64_t count() const { return count_; }

 private:
  static constexpr std::size_t kept = 15;
  /// With all places filled, the median is found anew after so many samples: short tasks are to stay short.
  static constexpr std::uint64_t stride = 8;

  std::array<std::int64_t, kept> samples_{};  // in ns
  std::uint64_t count_ = 0;
  Time median_{};
};

/// One call on one kind of device.
struct CostEntry {
  std::string device;  // `ComputeDevice::cost_class`
  std::string kernel;
  std::string call;  // see `describe_call`
  Time estimate{};   // of the analytic model
  Time measured{};
  std::uint64_t samples = 0;

  double ratio() const { return static_cast<double>(measured.count()) / static_cast<double>(estimate.count()); }
};

/// A call as far as its time is concerned: operation, attributes, types.
std::string describe_call(const Kernel& kernel, std::span<const TensorType> inputs,
                          std::span<const TensorType> outputs);

/// Any thread may call it.
class CostModel {
 public:
  /// What an estimate has to be multiplied by: the ratio of this call; otherwise the median of those of its kernel on
  /// this kind of device; otherwise 1.
  double ratio(const std::string& device, const std::string& kernel, const std::string& call) const;
  /// Takes what was measured in place of what is known of the call.
  void learn(CostEntry entry);
  /// By device, then call.
  std::vector<CostEntry> entries() const;
  /// Whether something was learned since the last `load` or `save`.
  bool changed() const;

  /// Reads what `save` wrote for this board, in addition to what is known. A file that is damaged, or of another board,
  /// changes nothing; the message says what to do.
  Status load(const std::filesystem::path& path, const std::string& board);
  /// Writes a file that appears under its name only when it is complete.
  Status save(const std::filesystem::path& path, const std::string& board);

 private:
  mutable std::mutex mutex_;                                          // of everything below
  std::map<std::pair<std::string, std::string>, CostEntry> entries_;  // by device and call
  bool changed_ = false;
};

}  // namespace cosoc
