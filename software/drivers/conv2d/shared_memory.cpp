#include "drivers/conv2d/shared_memory.hpp"

#include <algorithm>

namespace cosoc::conv2d {
namespace {

constexpr double lately_cycles = 32;    // so long after its last beat a channel counts as one that moves
constexpr double burst_tolerance = 16;  // beats that memory may move faster than its throughput

/// Beats of 16 bytes per cycle at 300 MHz: the ZCU102's measured bandwidths.
struct Capacity {
  double read;
  double write;
  double mixed;  // half of the beats read, half written
};
constexpr Capacity one_port = {15.87 / 16, 16.0 / 16, 31.1 / 16};
constexpr Capacity two_ports = {31.53 / 16, 32.0 / 16, 42.0 / 16};

}  // namespace

/// Cycles of the memory for a beat, with the channels that move at this time.
double SharedMemory::cost(double now) const {
  const auto moves = [&](std::size_t direction, std::size_t port) {
    return busy_until_[direction][port] + lately_cycles > now ? 1 : 0;
  };
  const int reads = moves(0, 0) + moves(0, 1);
  const int writes = moves(1, 0) + moves(1, 1);
  const bool both = moves(0, 0) + moves(1, 0) > 0 && moves(0, 1) + moves(1, 1) > 0;
  const Capacity& capacity = both ? two_ports : one_port;
  const double minor = 2.0 * std::min(reads, writes) / (reads + writes);
  const double pure = reads >= writes ? capacity.read : capacity.write;
  return 1 / (pure * (1 - minor) + capacity.mixed * minor);
}

double SharedMemory::move(std::size_t port, bool writes, double begin, std::uint64_t beats) {
  const auto amount = static_cast<double>(beats);
  double& busy_until = busy_until_[writes ? 1 : 0][port];
  busy_until = begin + amount * beat_cycles_;
  moved_[writes ? 1 : 0] += beats;
  const double cost_of_beat = cost(begin);
  free_ = std::max(free_, begin) + amount * cost_of_beat;
  return busy_until = std::max(busy_until, free_ - burst_tolerance * cost_of_beat);
}

}  // namespace cosoc::conv2d
