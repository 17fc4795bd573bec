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
  /// `blocked`: an engine offers a transfer that must wait until those before it have their words.
  WritePort(SharedMemory& memory, FeatureBanks& banks, Waits& blocked, std::size_t number)
      : memory_(memory), banks_(banks), blocked_(blocked), number_(number) {}

  void push(const PortJob& job);
  /// When the next burst has all its words.
  double next() const { return left_.empty() ? never : left_.front(); }
  Burst serve(double now);
  /// Lets words leave the feature buffer up to that time, as far ahead of their bursts as they may.
  void walk(double until);

 private:
  static constexpr std::size_t outstanding = 32;  // bursts without response, or words read ahead in bursts

  void walk_word();

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
  double free_ = 0;
  std::array<double, outstanding> ends_{};
  std::size_t bursts_ = 0;
};

}  // namespace cosoc::conv2d
