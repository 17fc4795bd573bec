/// Which operations of the runtime the Conv2D engine executes, as layers.
#pragma once

#include <array>
#include <span>
#include <vector>

#include "drivers/conv2d/layer.hpp"
#include "kernels/kernel.hpp"

namespace cosoc::conv2d {

/// A tensor of a call.
struct Operand {
  enum class Kind { none, input, output, temporary };
  Kind kind = Kind::none;
  std::size_t index = 0;
  bool operator==(const Operand&) const = default;
};

/// A layer of a call, its tensors and its constants.
struct Operation {
  /// Where the constants of the layer come from.
  enum class Source {
    none,       // the layer has no constants
    inputs,     // inputs of the call
    generated,  // all weights are 1, all channels have `bias` and `multiplier`
  };

  Layer layer;
  Operand in = {Operand::Kind::input, 0};
  Operand out = {Operand::Kind::output, 0};
  Operand residual = {};
  Source source = Source::inputs;
  std::array<std::size_t, 3> constants = {1, 2, 3};  // inputs that are weight, bias and multiplier
  std::int32_t bias = 0;
  float multiplier = 1.0F;

  bool operator==(const Operation&) const = default;
};

/// A call as layers, one after the other. Temporaries are results that only later layers read.
struct Operations {
  std::vector<Operation> layers;
  std::vector<std::uint64_t> temporaries;  // bytes of each

  bool operator==(const Operations&) const = default;
};

/// The layers of a call, or why the engine has none like it; types are those that `kernel.check` accepts.
Result<Operations> operations_of(const Kernel& kernel, std::span<const TensorType> inputs,
                                 std::span<const TensorType> outputs);

}  // namespace cosoc::conv2d
