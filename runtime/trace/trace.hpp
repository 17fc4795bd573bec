/// Trace of what ran where, in the array form of Chrome's JSON trace events, which the Perfetto UI opens: one track per
/// device, one for the policy, and counters of the devices' queues.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "device/result.hpp"
#include "drivers/driver.hpp"

namespace cosoc {

/// What all events of a trace have in common.
struct TraceHeader {
  std::vector<std::string> devices;
  std::string policy;
  bool simulated = false;  // then no time of this machine goes into the file
};

/// One task that a device ran.
struct TaskEvent {
  std::size_t device = 0;
  std::uint64_t id = 0;                 // of the task, from 1
  std::span<const std::uint64_t> next;  // tasks that waited for it
  std::string_view node;
  std::string_view operation;
  std::string_view application;
  Time submitted{};
  Time ready{};
  Time start{};
  Time end{};
  CallCounters counters;
  std::size_t choices = 0;  // tasks among which the policy chose
  std::size_t queued = 0;   // tasks before it in the queue of its device when it was placed
  Time expected_end{};      // what the policy counted with
  bool lent = false;        // a blocking call, on its caller's thread
  bool succeeded = true;
  std::string_view reason;  // as in TaskRecord
};

/// One decision of the policy.
struct RoundEvent {
  Time start{};
  Time duration{};
  std::size_t ready = 0;
  std::size_t assigned = 0;
  std::span<const std::size_t> queued;  // tasks by device, afterwards
};

/// Writes events as they come, each in a line of its own. The bytes depend on nothing but the events, so equal runs in
/// simulated time give equal files. The array's closing bracket, which the format does not require, is there after
/// `finish`; without it, after a crash, the file ends with a whole event all the same, and lacks what the last
/// `buffer_bytes` or the last 0.1 s before it held. Any thread may call it.
class Trace {
 public:
  static constexpr std::size_t buffer_bytes = std::size_t{64} << 10;

  /// Creates the file, or says why it cannot be written.
  static Result<std::unique_ptr<Trace>> open(const std::filesystem::path& path, TraceHeader header);
  ~Trace();
  Trace(const Trace&) = delete;
  Trace& operator=(const Trace&) = delete;

  /// When 0 was on the machine's monotonic clock, so that traces of several processes can be put together. Not of
  /// simulated time.
  void write_start(std::chrono::nanoseconds start);
  void write(const TaskEvent& event);
  void write(const RoundEvent& event);
  /// Completes the file, and reports a failed write. More events may follow.
  Status finish();

  bool is_simulated() const { return header_.simulated; }
  /// For a task that is about to be written, or named in `TaskEvent::next`.
  std::uint64_t next_id() { return last_id_.fetch_add(1, std::memory_order_relaxed) + 1; }

 private:
  Trace(std::filesystem::path path, TraceHeader header, int file)
      : path_(std::move(path)), header_(std::move(header)), file_(file) {}
  void write_header();
  /// The event's text is at the end of the buffer. Under the mutex, as what follows.
  void end_event();
  void flush();
  void write_at(std::string_view text, std::int64_t offset);

  const std::filesystem::path path_;
  const TraceHeader header_;
  const int file_;  // descriptor, closed by the destructor

  std::atomic<std::uint64_t> last_id_ = 0;
  std::mutex mutex_;
  std::string buffer_;
  std::int64_t written_ = 0;  // bytes in the file, without the closing bracket
  bool complete_ = false;  // the bracket is there: the file, whose name may be another trace's by now, stays as it is
  int error_ = 0;          // errno of the first write that failed
  std::chrono::steady_clock::time_point flushed_ = std::chrono::steady_clock::now();
};

}  // namespace cosoc
