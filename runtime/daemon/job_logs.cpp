#include "daemon/job_logs.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

namespace cosoc::daemon {
namespace {

/// Of one answer.
constexpr std::size_t part_bytes = 16 << 10;
/// Of what the system gives back.
constexpr std::uint64_t page_bytes = 4096;
constexpr std::uint64_t block_bytes = 512;  // of st_blocks

}  // namespace

Status JobLogs::clear() const {
  std::error_code error;
  std::filesystem::remove_all(folder_, error);
  std::filesystem::create_directories(folder_, error);
  if (error) return failure("cannot make " + folder_.string() + ": " + error.message());
  std::filesystem::permissions(folder_, std::filesystem::perms::owner_all, error);
  return {};
}

std::filesystem::path JobLogs::path_of(std::uint64_t job) const {
  return folder_ / ("job-" + std::to_string(job) + ".log");
}

Descriptor JobLogs::make(std::uint64_t job) const {
  return Descriptor(::open(path_of(job).c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
}

void JobLogs::prepare(std::uint64_t job) {
  if (prepared_ && prepared_job_ == job) return;
  prepared_ = make(job);
  prepared_job_ = job;
}

Descriptor JobLogs::open(std::uint64_t job) {
  return prepared_job_ == job && prepared_ ? std::move(prepared_) : make(job);
}

nlohmann::json JobLogs::read(std::uint64_t job, std::uint64_t offset) const {
  std::string text;
  offset = std::min<std::uint64_t>(offset, INT64_MAX);
  const Descriptor file(::open(path_of(job).c_str(), O_RDONLY | O_CLOEXEC));
  // Over what was trimmed; it fails behind the end.
  const off_t begin = file ? ::lseek(file.get(), static_cast<off_t>(offset), SEEK_DATA) : -1;
  if (begin >= 0) {
    offset = static_cast<std::uint64_t>(begin);
    text.resize(part_bytes);
    const ssize_t count = ::read(file.get(), text.data(), text.size());
    text.resize(static_cast<std::size_t>(std::max<ssize_t>(count, 0)));
  }
  const std::uint64_t next = offset + text.size();
  return {{"text", std::move(text)}, {"next", next}};
}

void JobLogs::trim(std::uint64_t job) const {
  if (limit_ == 0) return;
  const Descriptor file(::open(path_of(job).c_str(), O_WRONLY | O_CLOEXEC));
  struct stat status {};
  if (!file || ::fstat(file.get(), &status) != 0) return;
  const auto size = static_cast<std::uint64_t>(status.st_size);
  if (static_cast<std::uint64_t>(status.st_blocks) * block_bytes <= limit_ || size <= limit_) return;
  // Half of it stays, so that a program that goes on printing is not trimmed every time.
  const std::uint64_t gone = (size - limit_ / 2) / page_bytes * page_bytes;
  static_cast<void>(::fallocate(file.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, static_cast<off_t>(gone)));
}

void JobLogs::forget(std::uint64_t job) const {
  std::error_code ignored;
  std::filesystem::remove(path_of(job), ignored);
}

}  // namespace cosoc::daemon
