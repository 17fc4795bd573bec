/// A device of the scheduler: a CPU core, or an accelerator with its driver.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "drivers/driver.hpp"

namespace cosoc {

struct ComputeDevice {
  std::string name;                // cpu0, c2d0
  std::string kind;                // cpu, c2d
  std::unique_ptr<Driver> driver;  // none: a CPU core
  std::string cost_class = kind;   // devices of one take the same times
  std::size_t accelerator = 0;     // index in the platform; of accelerators only
  double watts = 1.0;              // while it works
  std::uint32_t domain = 0;        // devices of one read each other's results without
                                   // maintenance of caches

  bool is_cpu() const { return driver == nullptr; }
};

}  // namespace cosoc
