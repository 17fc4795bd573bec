/// What a task is expected to take on a device.
#pragma once

#include <span>

#include "device/platform.hpp"
#include "drivers/driver.hpp"
#include "kernels/kernel.hpp"

namespace cosoc {

/// Time of a kernel on one core of the reference CPU, a Cortex-A53 at 1.2 GHz: a fixed start, then whichever is longer
/// of computing and moving the data.
Time cpu_cost(const Kernel& kernel, std::span<const TensorType> inputs, std::span<const TensorType> outputs);

/// Time of a kernel on an accelerator that supports it: its driver's estimate at the SoC's clock.
Time accelerator_cost(const Driver& driver, const SoCDescription& soc, const Kernel& kernel,
                      std::span<const TensorType> inputs, std::span<const TensorType> outputs);

/// Time that a CPU core takes to copy tensors into device memory or out of it.
Time copy_cost(std::span<const TensorType> tensors);
Time copy_cost(std::size_t bytes);

}  // namespace cosoc
