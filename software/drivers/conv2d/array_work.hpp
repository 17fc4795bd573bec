/// What the COMPUTE instructions of a program do at the array, whenever they start.
#pragma once

#include <span>
#include <vector>

#include "drivers/conv2d/instruction_stream.hpp"

namespace cosoc::conv2d {

/// A COMPUTE with the settings that it finds.
struct ArrayWork {
  isa::Compute compute;
  isa::Geometry geometry;
  isa::Output output;
  std::uint64_t groups = 0;    // of a block
  std::uint64_t slices = 0;    // cycles in which the output unit takes the results of a group
  std::uint64_t of_group = 0;  // cycles of the array

  /// Cycles of the array.
  double cycles() const { return static_cast<double>(compute.blocks * groups * of_group); }
};

/// The work of each COMPUTE of a program, in order.
std::vector<ArrayWork> array_work(const Config& config, std::span<const StreamInstruction> instructions);

}  // namespace cosoc::conv2d
