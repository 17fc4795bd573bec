/// Trace of what ran where, in Chrome's JSON trace event format, which the
/// Perfetto UI opens: one track per device.
#pragma once

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>

#include "device/result.hpp"
#include "drivers/driver.hpp"

namespace cosoc {

/// One task that ended.
struct TraceEvent {
  std::size_t device = 0;
  std::string_view node;
  std::string_view operation;
  std::string_view application;
  Time start{};
  Time end{};
  CallCounters counters;
  std::string_view policy;
  std::size_t ready = 0;  // tasks among which the policy chose
  Time expected_end{};    // what the policy counted with
  std::string reason;     // as in TaskRecord
};

/// Writes events as they come. The bytes depend on nothing but the events, so
/// equal runs in simulated time give equal files. Any thread may call it.
class Trace {
 public:
  /// Creates the file, or says why it cannot be written.
  static Result<std::unique_ptr<Trace>> open(const std::filesystem::path& path, std::span<const std::string> devices);

  void write(const TraceEvent& event);
  /// Completes the file, so that it is valid JSON, and reports a failed write.
  /// More events may follow.
  Status finish();

 private:
  explicit Trace(const std::filesystem::path& path) : path_(path), stream_(path, std::ios::binary) {}
  void append(const std::string& json);

  std::mutex mutex_;
  std::filesystem::path path_;
  std::ofstream stream_;
  bool empty_ = true;
};

}  // namespace cosoc
