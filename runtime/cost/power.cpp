#include "cost/power.hpp"

#include <algorithm>
#include <array>

namespace cosoc {
namespace {

struct Power {
  std::string_view kind;
  double watts;
};

/// Estimates, from resources and clocks: one Cortex-A53 at 1.2 GHz; 1,024 multiply-accumulates, an FFT and an
/// element-wise unit at 300 MHz with the memory traffic that they make.
constexpr std::array<Power, 4> estimates = {{{"cpu", 0.35}, {"c2d", 2.5}, {"fft", 0.6}, {"zip", 0.5}}};
constexpr double default_watts = 1.0;

}  // namespace

double power(std::string_view kind) {
  const auto found = std::ranges::find(estimates, kind, &Power::kind);
  return found == estimates.end() ? default_watts : found->watts;
}

}  // namespace cosoc
