/// The memory of a schedule.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "drivers/conv2d/bursts.hpp"

namespace cosoc::conv2d {

/// A time for each beat of a burst.
using BeatTimes = std::array<double, longest_burst>;

/// Memory behind all ports, cycle by cycle like the DDR model of the simulation (sim/rtl/ddr_model.hpp): its throughput
/// follows from the ports and directions that wanted to move lately, and those that have a beat take turns.
class SharedMemory {
 public:
  enum Direction : std::size_t { read, write };

  /// When a burst moved: `begun` is that of its first beat, `end` the cycle after its last one; fractions of a cycle
  /// are those of its channel.
  struct Moved {
    double begun = 0;
    double end = 0;
  };

  /// `latency`: cycles from an address to its first beat, and from a last beat to its response. `beat_cycles`: cycles
  /// in which a port moves 16 bytes.
  SharedMemory(double latency, double beat_cycles) : latency_(latency), beat_cycles_(beat_cycles) {}

  double latency() const { return latency_; }
  double beat_cycles() const { return beat_cycles_; }
  /// Cycles more, in each direction, for the way through the converter to a narrower port.
  double conversion() const { return beat_cycles_ > 1 ? 2 : 0; }
  /// A burst of a channel that has none can move from `from` on, which is not before the time of `advance`.
  void begin(std::size_t port, Direction direction, double from, std::uint64_t beats);
  /// Lets beats move in all cycles that are over at this time.
  void advance(double now);
  /// When the channel's burst can have moved at the earliest.
  double next(std::size_t port, Direction direction) const;
  /// Cycles of the beats of 16 bytes that the channel's latest burst has moved by the time of `advance`.
  std::span<const double> beats(std::size_t port, Direction direction) const;
  /// The channel's burst, when it has moved: then another one can begin.
  std::optional<Moved> take(std::size_t port, Direction direction);
  std::uint64_t beats_read() const { return moved_[read]; }
  std::uint64_t beats_written() const { return moved_[write]; }

 private:
  static constexpr std::size_t channels = 4;  // 2 * port + direction

  struct Channel {
    bool busy = false;
    std::uint64_t left = 0;  // beats of the port's width
    double from = 0;
    double begun = -1;
    BeatTimes beats{};
    std::size_t moved = 0;          // beats of 16 bytes
    std::int64_t wanted_until = 0;  // cycle from which on it has not wanted to move lately
  };

  void step();
  double refill() const;

  double latency_;
  double beat_cycles_;
  std::array<Channel, channels> channels_;
  std::int64_t cycle_ = 0;  // the next one
  std::size_t turn_ = 0;    // the channel that goes first
  double budget_ = 0;       // beats of 16 bytes
  std::array<std::uint64_t, 2> moved_{};
};

}  // namespace cosoc::conv2d
