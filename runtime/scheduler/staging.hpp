/// Operands of accelerators that do not lie in device memory.
#pragma once

#include <span>
#include <vector>

#include "device/memory.hpp"
#include "scheduler/task.hpp"

namespace cosoc {

/// The operands of a task where an accelerator reaches them: those that lie in other memory have copies in device
/// memory while this lives. Only `begin`, `end` and the destructor need the lock of the drivers.
class Staging {
 public:
  explicit Staging(DeviceMemory& memory) : memory_(memory) {}
  ~Staging() { end(); }
  Staging(const Staging&) = delete;
  Staging& operator=(const Staging&) = delete;

  /// Takes memory for the copies. Fails when there is too little.
  Status begin(const Task& task);
  /// Bytes that are copied in and out.
  std::size_t copied_bytes() const;
  void copy_in() const;
  void copy_out() const;
  /// Gives the memory back.
  void end();
  /// Leaves the memory to an accelerator that may still write to it: nobody gets it again.
  void abandon() { copies_.clear(); }

  std::span<const TensorView> inputs() const { return std::span(views_).first(inputs_); }
  std::span<const TensorView> outputs() const { return std::span(views_).subspan(inputs_); }

 private:
  struct Copy {
    std::size_t operand;  // of `views_`
    Block outside;
  };

  DeviceMemory& memory_;
  std::vector<TensorView> views_;
  std::size_t inputs_ = 0;
  std::vector<Copy> copies_;
};

/// Whether an operand lies where only CPU cores reach it.
inline bool is_outside(const TensorView& view) { return view.block.id == 0; }

}  // namespace cosoc
