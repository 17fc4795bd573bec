/// Kernels that run faster once their constants are packed.
#pragma once

#include <memory>
#include <span>

#include "kernels/kernel.hpp"

namespace cosoc {

/// What a kernel is besides, when it can pack constants.
class Preparable {
 public:
  virtual ~Preparable() = default;
  /// A kernel that gives the same results and keeps constants of `inputs` in the order in which it reads them; null
  /// when there is nothing to pack. It serves these types and constants only.
  virtual std::shared_ptr<const Kernel> prepare(std::span<const TensorView> inputs,
                                                std::span<const TensorType> outputs) const = 0;
};

}  // namespace cosoc
