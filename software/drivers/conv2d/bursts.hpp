/// What the engines of a schedule move over the memory ports: jobs, cut into bursts.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <limits>
#include <optional>

#include "drivers/conv2d/feature_banks.hpp"

namespace cosoc::conv2d {

inline constexpr std::uint64_t longest_burst = 16;
inline constexpr double never = std::numeric_limits<double>::infinity();

/// What an engine (a unit's part at one port) moves for one instruction: `transfers` of `beats` words of 16 bytes, in
/// rows of `row_transfers`.
struct PortJob {
  std::size_t instruction = 0;
  double at = 0;  // when its first address can be on the bus, or when its first word can leave the feature buffer
  std::uint64_t transfers = 0;
  std::uint64_t beats = 0;
  std::uint64_t address = 0;  // of the first word; from a base that begins a page
  std::uint64_t row_transfers = 1;
  std::uint64_t row_step = 0;       // words from one row to the next
  std::uint64_t transfer_step = 0;  // words from one transfer of a row to the next
  double own = 1;                   // cycles of the engine for a beat, where no bank makes it wait
  /// Where the beats lie in the feature buffer; none where the banks never make them wait.
  std::optional<BufferTile> tile = {};
};

/// A burst that moves. Times in cycles; an end is the cycle after the last beat.
struct Burst {
  std::size_t instruction = 0;
  double begin = 0;
  std::uint64_t beats = 0;
  bool last = false;  // of its job
  double done = 0;    // when the engine has taken its beats, or memory has answered
  double asked = 0;   // of reads, when its address was on the bus, unless others were there
};

/// Jobs of an engine, in order, as bursts.
class BurstQueue {
 public:
  bool empty() const { return jobs_.empty(); }
  void push(const PortJob& job) { jobs_.push_back(job); }
  const PortJob& front() const { return jobs_.front(); }
  /// The next burst is the first of its job.
  bool at_start() const { return transfer_ == 0 && offset_ == 0; }
  std::uint64_t beats() const;
  /// The next burst is the last of its transfer.
  bool ends_transfer() const { return offset_ + beats() == jobs_.front().beats; }
  /// Transfers of which something will be left when so many more bursts have left, as if no page ended inside of one.
  std::uint64_t transfers_after(std::uint64_t bursts) const;
  /// The job of the transfer `ahead` transfers after that of the next burst, if there is one.
  const PortJob* job_of_transfer(std::uint64_t ahead) const;
  /// Removes the next burst; true for the last of its job.
  bool take();

 private:
  std::deque<PortJob> jobs_;
  std::uint64_t transfer_ = 0;  // of the current job
  std::uint64_t offset_ = 0;    // beats of it that were taken
};

}  // namespace cosoc::conv2d
