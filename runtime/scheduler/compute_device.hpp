/// A device of the scheduler: a CPU core, or an accelerator with its driver.
#pragma once

#include <cstddef>
#include <memory>
#include <string>

#include "drivers/driver.hpp"

namespace cosoc {

struct ComputeDevice {
  std::string name;                // cpu0, c2d0
  std::string kind;                // cpu, c2d
  std::unique_ptr<Driver> driver;  // none: a CPU core
  std::size_t accelerator = 0;     // index in the platform; of accelerators only
  std::string quarantine;          // why it gets no more work; empty while it does

  bool is_cpu() const { return driver == nullptr; }
};

}  // namespace cosoc
