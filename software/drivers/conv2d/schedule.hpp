/// How long a program of the Conv2D engine takes: the cost model of the compiler, the runtime and functional models.
///
/// An event simulation of the engine's units, instruction by instruction: dispatch, waits, queues, the array's steps,
/// and transfers that share the memory ports as fluids. No data, no cycles one by one: some microseconds an
/// instruction.
#pragma once

#include <cstdint>
#include <span>

#include "cosoc/generated/conv2d.hpp"

namespace cosoc::conv2d {

/// Clock cycles of a program of encoded instructions that the engine accepts, from the command's start to its
/// completion. The memory is the ZCU102's at 300 MHz, as the DDR model of the simulation has it, with a latency of 150
/// ns.
double scheduled_cycles(const Config& config, std::span<const std::uint32_t> program);

}  // namespace cosoc::conv2d
