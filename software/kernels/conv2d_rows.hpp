/// Parts of a convolution: the call that makes some rows of its output.
#pragma once

#include <memory>
#include <optional>
#include <span>

#include "kernels/conv2d.hpp"

namespace cosoc {

/// Rows [begin, end) of a feature map.
struct Rows {
  std::int64_t begin = 0;
  std::int64_t end = 0;

  std::int64_t count() const { return end - begin; }
  bool operator==(const Rows&) const = default;
};

/// A convolution of some rows of the input, with padding only where the whole one has it.
struct Conv2DRows {
  std::shared_ptr<const Kernel> kernel;
  Rows input;
  Rows residual;  // those of the convolution's result; of the residual, if there is one
};

/// The call that makes the rows `output` of a whole one, bit by bit. Nothing when its windows lie in the padding alone.
/// Types are those that the whole kernel's `check` accepted.
std::optional<Conv2DRows> make_conv2d_rows(const Conv2DKernel& whole, std::span<const TensorType> inputs,
                                           const TensorType& result, Rows output);

}  // namespace cosoc
