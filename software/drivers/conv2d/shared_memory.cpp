#include "drivers/conv2d/shared_memory.hpp"

#include <algorithm>
#include <bit>
#include <cmath>

namespace cosoc::conv2d {
namespace {

constexpr std::int64_t lately_cycles = 32;  // so long a channel that wanted to move counts as one that does
constexpr double burst_tolerance = 16;      // beats that memory may move faster than its throughput
constexpr double peak = 4;                  // beats in a cycle while nobody moves

/// Beats of 16 bytes per cycle at 300 MHz: the ZCU102's measured bandwidths.
struct Capacity {
  double read;
  double write;
  double mixed;  // half of the beats read, half written
};
constexpr Capacity one_port = {15.87 / 16, 16.0 / 16, 31.1 / 16};
constexpr Capacity two_ports = {31.53 / 16, 32.0 / 16, 42.0 / 16};

/// Beats per cycle while the channels with these bits move.
constexpr double throughput(std::size_t moving) {
  const int reads = std::popcount(moving & 5U);
  const int writes = std::popcount(moving & 10U);
  if (reads + writes == 0) return peak;
  const Capacity& capacity = (moving & 3U) != 0 && (moving & 12U) != 0 ? two_ports : one_port;
  const double minor = 2.0 * std::min(reads, writes) / (reads + writes);
  const double pure = reads >= writes ? capacity.read : capacity.write;
  return pure * (1 - minor) + capacity.mixed * minor;
}
constexpr auto throughputs = [] {
  std::array<double, 16> each{};
  for (std::size_t moving = 0; moving < each.size(); ++moving) each[moving] = throughput(moving);
  return each;
}();

}  // namespace

void SharedMemory::begin(std::size_t port, Direction direction, double from, std::uint64_t beats) {
  Channel& channel = channels_[2 * port + direction];
  channel.busy = true;
  channel.left = beats * static_cast<std::uint64_t>(beat_cycles_);
  channel.from = from;
  channel.begun = -1;
  channel.moved = 0;
  moved_[direction] += beats;
}

double SharedMemory::next(std::size_t port, Direction direction) const {
  const Channel& channel = channels_[2 * port + direction];
  return static_cast<double>(std::max(static_cast<std::int64_t>(channel.from), cycle_)) +
         static_cast<double>(channel.left);
}

std::span<const double> SharedMemory::beats(std::size_t port, Direction direction) const {
  const Channel& channel = channels_[2 * port + direction];
  return std::span(channel.beats).first(channel.moved);
}

std::optional<SharedMemory::Moved> SharedMemory::take(std::size_t port, Direction direction) {
  Channel& channel = channels_[2 * port + direction];
  if (!channel.busy || channel.left > 0) return {};
  channel.busy = false;
  return Moved{channel.begun, channel.from};
}

void SharedMemory::advance(double now) {
  const auto end = static_cast<std::int64_t>(now);
  while (cycle_ < end) {
    const bool waits = std::any_of(channels_.begin(), channels_.end(), [](const Channel& c) { return c.left > 0; });
    if (!waits && end - cycle_ > static_cast<std::int64_t>(burst_tolerance)) {
      budget_ = burst_tolerance;
      cycle_ = end;
      return;
    }
    step();
  }
}

/// One cycle.
void SharedMemory::step() {
  const auto end = static_cast<double>(cycle_ + 1);
  const std::size_t first = turn_;
  for (std::size_t i = 0; i < channels; ++i) {
    const std::size_t number = (first + i) % channels;
    Channel& channel = channels_[number];
    if (channel.left == 0) continue;
    if (channel.from < end) channel.wanted_until = cycle_ + lately_cycles;
    if (budget_ < 1 || channel.from >= end) continue;
    if (channel.begun < 0) channel.begun = std::max(channel.from, end - 1);
    budget_ -= 1 / beat_cycles_;
    turn_ = (number + 1) % channels;
    --channel.left;
    if (channel.left % static_cast<std::uint64_t>(beat_cycles_) == 0) channel.beats[channel.moved++] = end - 1;
    if (channel.left == 0) channel.from = end + channel.begun - std::floor(channel.begun);
  }
  budget_ = std::min(budget_ + refill(), burst_tolerance);
  ++cycle_;
}

/// Beats that memory can move more after this cycle.
double SharedMemory::refill() const {
  std::size_t moving = 0;
  for (std::size_t i = 0; i < channels; ++i) {
    if (cycle_ < channels_[i].wanted_until) moving |= std::size_t{1} << i;
  }
  return throughputs[moving];
}

}  // namespace cosoc::conv2d
