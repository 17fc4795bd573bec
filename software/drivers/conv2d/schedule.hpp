/// How long a program of the Conv2D engine takes: the cost model of the compiler, the runtime and functional models.
///
/// An event simulation of the engine's units: dispatch, waits, queues and the array's steps instruction by instruction,
/// transfers burst by burst. No data, no cycles one by one: some microseconds an instruction.
#pragma once

#include <cstdint>
#include <limits>
#include <span>

#include "cosoc/generated/conv2d.hpp"

namespace cosoc::conv2d {

/// Cycles from a read address to its first beat, where nothing else is known: 150 ns at 300 MHz, an estimate.
inline constexpr double default_memory_latency = 45;

inline constexpr double no_limit = std::numeric_limits<double>::infinity();

/// What the engine's counters tell of a command that runs alone.
struct Schedule {
  double cycles = 0;  // from the command's start to its completion in memory
  std::uint64_t beats_read = 0;
  std::uint64_t beats_written = 0;
  double starved = 0;  // cycles in which a reader waited for a beat that it had asked for
  double blocked = 0;  // cycles in which a store engine waited to hand over a transfer
};

/// The schedule of a program of encoded instructions that the engine accepts. The memory is the ZCU102's at 300 MHz, as
/// the DDR model of the simulation has it, but for its latency in cycles. A program that takes `limit` cycles or more
/// may have `limit` as its cycles and nothing else: as soon as that is certain, no more is simulated.
Schedule schedule(const Config& config, std::span<const std::uint32_t> program,
                  double memory_latency = default_memory_latency, double limit = no_limit);

}  // namespace cosoc::conv2d
