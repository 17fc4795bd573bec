#include "trace/trace.hpp"

#include <cinttypes>
#include <cstdio>
#include <nlohmann/json.hpp>

namespace cosoc {
namespace {

/// The format's unit is the microsecond; fixed decimals keep nanoseconds exact.
std::string microseconds(Time time) {
  char text[32];
  const std::int64_t count = time.count();
  std::snprintf(text, sizeof text, "%" PRId64 ".%03" PRId64, count / 1000, count % 1000);
  return text;
}

std::string json_string(std::string_view text) { return nlohmann::json(text).dump(); }

}  // namespace

Result<std::unique_ptr<Trace>> Trace::open(const std::filesystem::path& path, std::span<const std::string> devices) {
  std::unique_ptr<Trace> trace(new Trace(path));
  if (!trace->stream_) return failure("cannot write the trace " + path.string());
  trace->stream_ << "{\"displayTimeUnit\":\"ns\",\"traceEvents\":[";
  for (std::size_t i = 0; i < devices.size(); ++i) {
    const std::string track = "{\"ph\":\"M\",\"pid\":0,\"tid\":" + std::to_string(i);
    trace->append(track + ",\"name\":\"thread_name\",\"args\":{\"name\":" + json_string(devices[i]) + "}}");
    trace->append(track + ",\"name\":\"thread_sort_index\",\"args\":{\"sort_index\":" + std::to_string(i) + "}}");
  }
  if (auto done = trace->finish(); !done) return tl::make_unexpected(done.error());
  return trace;
}

void Trace::append(const std::string& json) {
  stream_ << (empty_ ? "\n" : ",\n") << json;
  empty_ = false;
}

void Trace::write(const TraceEvent& event) {
  std::string json = "{\"ph\":\"X\",\"pid\":0,\"tid\":" + std::to_string(event.device);
  json += ",\"ts\":" + microseconds(event.start) + ",\"dur\":" + microseconds(event.end - event.start);
  json += ",\"name\":" + json_string(event.node) + ",\"cat\":" + json_string(event.operation);
  json += ",\"args\":{\"node\":" + json_string(event.node) + ",\"op\":" + json_string(event.operation);
  json += ",\"application\":" + json_string(event.application);
  json += ",\"cycles\":" + std::to_string(event.counters.cycles);
  json += ",\"commands\":" + std::to_string(event.counters.commands);
  json += ",\"policy\":" + json_string(event.policy) + ",\"ready\":" + std::to_string(event.ready);
  json += ",\"expected_end_us\":" + microseconds(event.expected_end);
  if (!event.reason.empty()) json += ",\"reason\":" + json_string(event.reason);
  const std::lock_guard lock(mutex_);
  append(json + "}}");
}

Status Trace::finish() {
  const std::lock_guard lock(mutex_);
  // The end is written over by the next event.
  const auto end = stream_.tellp();
  stream_ << "\n]}\n" << std::flush;
  stream_.seekp(end);
  if (!stream_) return failure("cannot write the trace " + path_.string() + "; is the disk full?");
  return {};
}

}  // namespace cosoc
