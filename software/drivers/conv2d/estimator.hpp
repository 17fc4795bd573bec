/// Cycles of programs that the compiler compares.
#pragma once

#include <unordered_map>

#include "drivers/conv2d/schedule.hpp"

namespace cosoc::conv2d {

/// Remembers what each program takes: searches of a network try the same ones again.
class Estimator {
 public:
  Estimator(const Config& config, double memory_latency) : config_(config), memory_latency_(memory_latency) {}

  /// The cycles of a program; when they are not below `limit`, some number that is not either.
  double cycles(std::span<const std::uint32_t> program, double limit = no_limit);

 private:
  struct Found {
    double cycles = 0;
    bool exact = false;  // else the program takes at least these
  };

  Config config_;
  double memory_latency_;
  std::unordered_map<std::size_t, Found> found_;  // by the hash of the program
};

}  // namespace cosoc::conv2d
