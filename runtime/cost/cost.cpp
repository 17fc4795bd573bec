#include "cost/cost.hpp"

#include <algorithm>
#include <array>
#include <cmath>

namespace cosoc {
namespace {

/// Throughput of one operation on the reference core.
struct Throughput {
  std::string_view kernel;
  double operations_per_cycle;
};

constexpr double clock_hz = 1.2e9;
/// Call, loop set-up and cold caches.
constexpr double start_seconds = 1e-6;
/// One core copying within DDR.
constexpr double bytes_per_second = 2.0e9;

/// Estimates, not measurements: issue rates of an in-order core with one 64-bit NEON pipe. Integer kernels process
/// several lanes per instruction; complex float kernels are written in plain C++ and stay scalar.
constexpr std::array<Throughput, 10> estimates = {{
    {"conv2d", 2.0},             // widening multiply-accumulate, 8 lanes in 2 cycles, halved for loads
    {"max_pool2d", 4.0},         // 16-lane maximum, bound by loads
    {"average_pool2d", 2.0},     // widening additions
    {"add", 0.5},                // conversion to float and back
    {"quantize", 0.5},           // multiplication, rounding, narrowing
    {"dequantize", 1.0},         // widening, subtraction, multiplication
    {"fft", 0.5},                // radix-2 butterflies, strided loads
    {"zip", 0.5},                // scalar complex arithmetic
    {"transpose", 0.25},         // a cache line per element in one of the two directions
    {"magnitude_squared", 0.5},  // two multiplications and an addition per element
}};
/// Of an operation without an entry.
constexpr double default_operations_per_cycle = 0.5;

}  // namespace

Time cpu_cost(const Kernel& kernel, std::span<const TensorType> inputs, std::span<const TensorType> outputs) {
  const auto found = std::ranges::find(estimates, kernel.name(), &Throughput::kernel);
  const double rate = found == estimates.end() ? default_operations_per_cycle : found->operations_per_cycle;
  const Work work = kernel.work(inputs, outputs);
  const double computing = static_cast<double>(work.operations) / (rate * clock_hz);
  const double moving = static_cast<double>(work.bytes) / bytes_per_second;
  return Time(std::llround((start_seconds + std::max(computing, moving)) * 1e9));
}

Time accelerator_cost(const Driver& driver, const SoCDescription& soc, const Kernel& kernel,
                      std::span<const TensorType> inputs, std::span<const TensorType> outputs) {
  return soc.cycles_to_time(driver.estimate_cycles(kernel, inputs, outputs));
}

}  // namespace cosoc
