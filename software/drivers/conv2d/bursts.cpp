#include "drivers/conv2d/bursts.hpp"

#include <algorithm>
#include <utility>

namespace cosoc::conv2d {
namespace {

constexpr std::uint64_t page = 256;  // words of 4 KB, whose ends no burst crosses

}  // namespace

std::uint64_t BurstQueue::beats() const {
  const PortJob& job = jobs_.front();
  const std::uint64_t row = transfer_ / job.row_transfers;
  const std::uint64_t place = row * job.row_step + transfer_ % job.row_transfers * job.transfer_step;
  return std::min({longest_burst, job.beats - offset_, page - (job.address + place + offset_) % page});
}

std::uint64_t BurstQueue::transfers_after(std::uint64_t bursts) const {
  const auto bursts_of = [](std::uint64_t beats) { return (beats + longest_burst - 1) / longest_burst; };
  std::uint64_t left = 0;
  std::uint64_t begun = transfer_;
  std::uint64_t offset = offset_;
  for (const PortJob& job : jobs_) {
    std::uint64_t of_job = job.transfers - std::exchange(begun, 0);
    for (; of_job > 0 && bursts >= bursts_of(job.beats - offset); --of_job) {
      bursts -= bursts_of(job.beats - std::exchange(offset, 0));
    }
    if (of_job > 0) bursts = offset = 0;
    left += of_job;
  }
  return left;
}

const PortJob* BurstQueue::job_of_transfer(std::uint64_t ahead) const {
  ahead += transfer_;
  for (const PortJob& job : jobs_) {
    if (ahead < job.transfers) return &job;
    ahead -= job.transfers;
  }
  return nullptr;
}

bool BurstQueue::take() {
  const PortJob& job = jobs_.front();
  offset_ += beats();
  if (offset_ < job.beats) return false;
  offset_ = 0;
  if (++transfer_ < job.transfers) return false;
  jobs_.pop_front();
  transfer_ = 0;
  return true;
}

}  // namespace cosoc::conv2d
