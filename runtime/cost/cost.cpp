#include "cost/cost.hpp"

#include <algorithm>
#include <cmath>

namespace cosoc {
namespace {

constexpr double clock_hz = 1.2e9;
/// Call, loop set-up and cold caches.
constexpr double start_seconds = 1e-6;
/// One core copying within DDR.
constexpr double bytes_per_second = 2.0e9;

}  // namespace

Time cpu_cost(const Kernel& kernel, std::span<const TensorType> inputs, std::span<const TensorType> outputs) {
  const Work work = kernel.work(inputs, outputs);
  const double computing = static_cast<double>(work.operations) / (work.operations_per_cycle * clock_hz);
  const double moving = static_cast<double>(work.bytes) / bytes_per_second;
  return Time(std::llround((start_seconds + std::max(computing, moving)) * 1e9));
}

Time accelerator_cost(const Driver& driver, const SoCDescription& soc, const Kernel& kernel,
                      std::span<const TensorType> inputs, std::span<const TensorType> outputs) {
  return soc.cycles_to_time(driver.estimate_cycles(kernel, inputs, outputs));
}

Time copy_cost(std::span<const TensorType> tensors) {
  std::size_t bytes = 0;
  for (const TensorType& tensor : tensors) bytes += tensor.bytes();
  return copy_cost(bytes);
}

Time copy_cost(std::size_t bytes) {
  // Read and written.
  return Time(std::llround(2.0 * static_cast<double>(bytes) / bytes_per_second * 1e9));
}

}  // namespace cosoc
