/// Which operations of the runtime the Conv2D engine executes, as layers.
#pragma once

#include <span>

#include "drivers/conv2d/layer.hpp"
#include "kernels/kernel.hpp"

namespace cosoc::conv2d {

/// An operation as a layer.
struct Operation {
  /// Where the constants of the layer come from.
  enum class Source {
    none,       // the layer has no constants
    inputs,     // inputs 1, 2 and 3: weight, bias and multiplier
    generated,  // all weights are 1, all channels have `bias` and `multiplier`
  };

  Layer layer;
  Source source = Source::inputs;
  std::int32_t bias = 0;
  float multiplier = 1.0F;
  std::size_t residual_input = 0;  // index of the residual among the inputs; 0: there is none

  bool operator==(const Operation&) const = default;
};

/// The operation, or why the engine has none like it; types are those that `kernel.check` accepts.
Result<Operation> operation_of(const Kernel& kernel, std::span<const TensorType> inputs,
                               std::span<const TensorType> outputs);

}  // namespace cosoc::conv2d
