/// The write channel of a memory port in a schedule, burst by burst.
#pragma once

#include <array>
#include <deque>
#include <optional>

#include "drivers/conv2d/shared_memory.hpp"
#include "drivers/conv2d/waits.hpp"

namespace cosoc::conv2d {

/// The write channel of a port. A burst waits until all its words have left the feature buffer.
class WritePort {
 public:
  /// `blocked`: an engine offers a transfer that must wait until those before it have their words, or a word for which
  /// there is no place.
  WritePort(SharedMemory& memory, FeatureBanks& banks, Waits& blocked, std::size_t number)
      : memory_(memory), banks_(banks), blocked_(blocked), number_(number) {}

  void push(const PortJob& job);
  /// When a burst has all its words, can begin to move or has moved.
  double next() const;
  /// Lets it, at that time; tells of a burst that has moved.
  std::optional<Burst> serve(double now);
  /// Lets words leave the feature buffer up to that time, as far ahead of their bursts as they may.
  void walk(double until);

 private:
  static constexpr std::size_t accepted = 18;  // addresses at memory, which are not more than 16, and on the way there
  static constexpr std::size_t outstanding = 32;  // bursts without response, or words read ahead in bursts

  /// When a burst has its words, memory can accept its address, and few enough await their response.
  double next_issue() const;
  void walk_word();
  void issue(double now);

  SharedMemory& memory_;
  FeatureBanks& banks_;
  Waits& blocked_;
  std::size_t number_;
  BurstQueue queue_;             // bursts to send
  BurstQueue walk_;              // those of which not all words have left the feature buffer
  std::optional<TileWalk> way_;  // of the first of these
  std::uint64_t walked_ = 0;     // words of it that have left
  double word_left_ = 0;         // when the latest word left
  std::deque<double> left_;      // when the bursts to send had all their words
  double issued_ = 0;            // when the latest transfer had all its words
  std::deque<Burst> sent_;       // bursts that have their words and have not moved; `begin` is when they could
  bool moves_ = false;           // the first of these
  double free_ = 0;
  std::array<double, outstanding> ends_{};
  std::size_t bursts_ = 0;  // that have moved
};

}  // namespace cosoc::conv2d
