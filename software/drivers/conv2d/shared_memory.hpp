/// The memory of a schedule.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "drivers/conv2d/bursts.hpp"

namespace cosoc::conv2d {

/// Memory behind all ports, like the DDR model of the simulation (sim/rtl/ddr_model.hpp): its throughput follows from
/// the ports and directions that moved lately.
class SharedMemory {
 public:
  /// `latency`: cycles from an address to its first beat, and from a last beat to its response. `beat_cycles`: cycles
  /// in which a port moves 16 bytes.
  SharedMemory(double latency, double beat_cycles) : latency_(latency), beat_cycles_(beat_cycles) {}

  double latency() const { return latency_; }
  double beat_cycles() const { return beat_cycles_; }
  /// Cycles more, in each direction, for the way through the converter to a narrower port.
  double conversion() const { return beat_cycles_ > 1 ? 2 : 0; }
  /// The end of beats that could move from `begin` on.
  double move(std::size_t port, bool writes, double begin, std::uint64_t beats);
  std::uint64_t beats_read() const { return moved_[0]; }
  std::uint64_t beats_written() const { return moved_[1]; }

 private:
  double cost(double now) const;

  double latency_;
  double beat_cycles_;
  std::array<std::array<double, 2>, 2> busy_until_ = {{{-never, -never}, {-never, -never}}};  // by direction and port
  double free_ = 0;  // when it has done what it was given
  std::array<std::uint64_t, 2> moved_{};
};

}  // namespace cosoc::conv2d
