#include "trace/trace.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <nlohmann/json.hpp>

namespace cosoc {
namespace {

/// How long an event may wait for others in the buffer.
constexpr auto longest_wait = std::chrono::milliseconds(100);

/// The Perfetto UI calls a track with the number of its process the main thread.
constexpr std::size_t first_track = 2;

void add_number(std::string& text, std::uint64_t value) {
  std::array<char, 24> digits{};
  const auto end = std::to_chars(digits.begin(), digits.end(), value).ptr;
  text.append(digits.begin(), end);
}

/// The format's unit is the microsecond; fixed decimals keep nanoseconds exact.
void add_microseconds(std::string& text, Time time) {
  const auto count = static_cast<std::uint64_t>(std::max(Time{}, time).count());
  add_number(text, count / 1000);
  const auto rest = static_cast<unsigned>(count % 1000);
  text += '.';
  for (const unsigned digit : {rest / 100, rest / 10 % 10, rest % 10}) text += static_cast<char>('0' + digit);
}

/// Names come from users: whatever is no plain text is escaped, and what is no UTF-8 is replaced.
void add_string(std::string& text, std::string_view value) {
  const auto plain = [](char c) { return c >= ' ' && c < 127 && c != '"' && c != '\\'; };
  if (std::ranges::all_of(value, plain)) {
    text += '"';
    text += value;
    text += '"';
  } else {
    text += nlohmann::json(value).dump(-1, ' ', true, nlohmann::json::error_handler_t::replace);
  }
}

void add_field(std::string& text, std::string_view name, std::uint64_t value) {
  text += name;
  add_number(text, value);
}

void add_time(std::string& text, std::string_view name, Time value) {
  text += name;
  add_microseconds(text, value);
}

void add_text(std::string& text, std::string_view name, std::string_view value) {
  text += name;
  add_string(text, value);
}

void add_counters(std::string& text, const CallCounters& counters) {
  add_field(text, ",\"cycles\":", counters.cycles);
  add_field(text, ",\"commands\":", counters.commands);
  add_field(text, ",\"cycles_starved\":", counters.starved);
  add_field(text, ",\"cycles_blocked\":", counters.blocked);
  add_field(text, ",\"beats_read\":", counters.beats_read);
  add_field(text, ",\"beats_written\":", counters.beats_written);
}

}  // namespace

Result<std::unique_ptr<Trace>> Trace::open(const std::filesystem::path& path, TraceHeader header) {
  const int file = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (file < 0) return failure("cannot write the trace " + path.string() + ": " + std::strerror(errno));
  std::unique_ptr<Trace> trace(new Trace(path, std::move(header), file));
  trace->write_header();
  if (auto done = trace->finish(); !done) return tl::make_unexpected(done.error());
  return trace;
}

Trace::~Trace() {
  static_cast<void>(finish());
  ::close(file_);
}

void Trace::write_header() {
  const std::lock_guard lock(mutex_);
  buffer_ = "[\n{\"ph\":\"M\",\"pid\":1,\"name\":\"process_name\",\"args\":{\"name\":\"cosoc\"}}";
  for (std::size_t track = 0; track <= header_.devices.size(); ++track) {
    const bool is_policy = track == header_.devices.size();
    add_field(buffer_, ",\n{\"ph\":\"M\",\"pid\":1,\"tid\":", first_track + track);
    add_text(buffer_, ",\"name\":\"thread_name\",\"args\":{\"name\":", is_policy ? "policy" : header_.devices[track]);
    add_field(buffer_, "}},\n{\"ph\":\"M\",\"pid\":1,\"tid\":", first_track + track);
    add_field(buffer_, ",\"name\":\"thread_sort_index\",\"args\":{\"sort_index\":", track);
    buffer_ += "}}";
  }
}

void Trace::write_start(std::chrono::nanoseconds start) {
  const std::lock_guard lock(mutex_);
  add_field(buffer_, ",\n{\"ph\":\"M\",\"pid\":1,\"name\":\"start\",\"args\":{\"monotonic_ns\":",
            static_cast<std::uint64_t>(start.count()));
  add_field(buffer_, ",\"process\":", static_cast<std::uint64_t>(::getpid()));
  buffer_ += "}}";
}

void Trace::write(const TaskEvent& event) {
  const std::lock_guard lock(mutex_);
  std::string& text = buffer_;
  add_field(text, ",\n{\"ph\":\"X\",\"pid\":1,\"tid\":", first_track + event.device);
  add_time(text, ",\"ts\":", event.start);
  add_time(text, ",\"dur\":", event.end - event.start);
  add_text(text, ",\"name\":", event.node);
  add_text(text, ",\"cat\":", event.operation);
  add_field(text, ",\"args\":{\"id\":", event.id);
  add_text(text, ",\"application\":", event.application);
  add_time(text, ",\"submit_us\":", event.submitted);
  add_time(text, ",\"ready_us\":", event.ready);
  if (event.lent) {
    text += ",\"lent\":1";
  } else {
    add_time(text, ",\"expected_end_us\":", event.expected_end);
    add_field(text, ",\"choices\":", event.choices);
    add_field(text, ",\"queued\":", event.queued);
  }
  if (event.counters.commands != 0) add_counters(text, event.counters);
  if (!event.next.empty()) {
    text += ",\"next\":[";
    for (const std::uint64_t id : event.next) add_field(text, id == event.next.front() ? "" : ",", id);
    text += ']';
  }
  if (!event.succeeded) text += ",\"failed\":1";
  if (!event.reason.empty()) add_text(text, ",\"reason\":", event.reason);
  text += "}}";
  end_event();
}

void Trace::write(const RoundEvent& event) {
  const std::lock_guard lock(mutex_);
  add_field(buffer_, ",\n{\"ph\":\"X\",\"pid\":1,\"tid\":", first_track + header_.devices.size());
  add_time(buffer_, ",\"ts\":", event.start);
  add_time(buffer_, ",\"dur\":", event.duration);
  add_text(buffer_, ",\"name\":", header_.policy);
  add_field(buffer_, ",\"cat\":\"policy\",\"args\":{\"ready\":", event.ready);
  add_field(buffer_, ",\"assigned\":", event.assigned);
  add_time(buffer_, "}},\n{\"ph\":\"C\",\"pid\":1,\"ts\":", event.start);
  buffer_ += ",\"name\":\"queued\",\"args\":{";
  for (std::size_t device = 0; device < event.queued.size(); ++device) {
    if (device > 0) buffer_ += ',';
    add_string(buffer_, header_.devices[device]);
    add_field(buffer_, ":", event.queued[device]);
  }
  buffer_ += "}}";
  end_event();
}

void Trace::end_event() {
  if (buffer_.size() >= buffer_bytes || std::chrono::steady_clock::now() - flushed_ >= longest_wait) flush();
}

void Trace::flush() {
  complete_ = false;
  write_at(buffer_, written_);
  written_ += static_cast<std::int64_t>(buffer_.size());
  buffer_.clear();
  flushed_ = std::chrono::steady_clock::now();
}

void Trace::write_at(std::string_view text, std::int64_t offset) {
  while (!text.empty() && error_ == 0) {
    const auto count = ::pwrite(file_, text.data(), text.size(), offset);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) {
      error_ = count < 0 ? errno : ENOSPC;
      return;
    }
    text.remove_prefix(static_cast<std::size_t>(count));
    offset += count;
  }
}

Status Trace::finish() {
  const std::lock_guard lock(mutex_);
  if (!complete_ || !buffer_.empty()) {
    flush();
    // The next event is written over the end.
    write_at("\n]\n", written_);
    complete_ = true;
  }
  if (error_ != 0) return failure("cannot write the trace " + path_.string() + ": " + std::strerror(error_));
  return {};
}

}  // namespace cosoc
