/// Cycles in which at least one of several ports waits.
#pragma once

#include <algorithm>
#include <utility>
#include <vector>

namespace cosoc::conv2d {

class Waits {
 public:
  /// A port waits from `begin` to `end`, unless it is over before it begins.
  void add(double begin, double end) {
    if (begin < end) intervals_.emplace_back(begin, end);
  }

  /// Those of all ports, each cycle once.
  double total() const {
    std::vector<std::pair<double, double>> sorted = intervals_;
    std::sort(sorted.begin(), sorted.end());
    double sum = 0;
    double covered = 0;
    for (const auto& [begin, end] : sorted) {
      sum += std::max(0.0, end - std::max(begin, covered));
      covered = std::max(covered, end);
    }
    return sum;
  }

 private:
  std::vector<std::pair<double, double>> intervals_;
};

}  // namespace cosoc::conv2d
