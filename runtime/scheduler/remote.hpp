/// What the executor of a session under a daemon leaves to it: which CPU cores are free, and calls of accelerators.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

#include "scheduler/task.hpp"

namespace cosoc {

/// A platform that is one of these too has no interrupts: its accelerators are called here.
class Remote {
 public:
  /// The right to compute on one core.
  struct Core {
    std::uint32_t index = 0;
    std::uint32_t word = 0;  // the platform's
  };

  virtual ~Remote() = default;

  /// A free core, the preferred one if possible; nothing when all are in use.
  virtual std::optional<Core> try_take_core(std::size_t preferred) = 0;
  /// Blocks until a core is free.
  virtual Core take_core(std::size_t preferred) = 0;
  virtual void give_core(Core core) = 0;

  /// Accelerators that the daemon has for nobody now, a bit for each. From any thread, at any time.
  virtual std::uint32_t absent() const = 0;
  /// Runs a task's kernel on an accelerator of the kind of this one, with operands in the platform's memory: outcome,
  /// counters and note are set. Blocks. One thread at a time for each accelerator.
  virtual void run(std::size_t accelerator, const Kernel& kernel, std::span<const TensorView> inputs,
                   std::span<const TensorView> outputs, Task& task) = 0;
};

}  // namespace cosoc
