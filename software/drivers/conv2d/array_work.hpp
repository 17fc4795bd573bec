/// What the COMPUTE instructions of a program do at the array, whenever they start.
#pragma once

#include <span>
#include <vector>

#include "drivers/conv2d/instruction_stream.hpp"

namespace cosoc::conv2d {

/// A COMPUTE with the settings that it finds. The array goes on while the output unit takes results out of a queue, so
/// that the slower one of the two decides.
struct ArrayWork {
  isa::Compute compute;
  isa::Geometry geometry;
  isa::Output output;
  std::uint64_t groups = 0;       // of a block
  std::uint64_t steps = 0;        // cycles of the array for a group
  std::uint64_t slices = 0;       // cycles of the output unit for a group; 0 without results
  std::uint64_t last_slices = 0;  // for the last group of a block, which has fewer pixels

  std::uint64_t array_cycles() const { return compute.blocks * groups * steps; }
};

/// The work of each COMPUTE of a program, in order.
std::vector<ArrayWork> array_work(const Config& config, std::span<const StreamInstruction> instructions);

}  // namespace cosoc::conv2d
