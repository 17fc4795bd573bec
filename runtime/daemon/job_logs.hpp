/// What the instances of jobs print: a file for each job, whose newest part is kept.
#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>

#include "device/descriptor.hpp"
#include "device/result.hpp"

namespace cosoc::daemon {

class JobLogs {
 public:
  /// Of the files in `folder`, each with at most `limit` bytes on the disk after a `trim`; 0: no limit.
  JobLogs(std::filesystem::path folder, std::uint64_t limit) : folder_(std::move(folder)), limit_(limit) {}

  /// Makes the folder, the user's alone, and removes what an earlier daemon left in it.
  Status clear() const;
  /// Makes the log of a job that may come; `open` then takes less time.
  void prepare(std::uint64_t job);
  /// To append to; none when that fails.
  Descriptor open(std::uint64_t job);
  /// A part of what there is from `offset` on: `text`, and `next`, where the following part begins.
  nlohmann::json read(std::uint64_t job, std::uint64_t offset) const;
  /// Gives the oldest part of a log that is too long back to the disk; positions in it stay the same.
  void trim(std::uint64_t job) const;
  void forget(std::uint64_t job) const;

 private:
  std::filesystem::path path_of(std::uint64_t job) const;
  Descriptor make(std::uint64_t job) const;

  std::filesystem::path folder_;
  std::uint64_t limit_;
  std::uint64_t prepared_job_ = 0;
  Descriptor prepared_;
};

}  // namespace cosoc::daemon
