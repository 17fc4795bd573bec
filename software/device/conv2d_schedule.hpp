/// How long a program of the Conv2D engine takes: the cost model of the compiler, the runtime and functional models.
///
/// An event simulation of the engine's units, instruction by instruction: dispatch, waits, queues, the array's steps,
/// and transfers that share the memory ports as fluids. No data, no cycles one by one: some microseconds an
/// instruction.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "cosoc/generated/conv2d.hpp"

namespace cosoc::conv2d {

/// What the schedule needs to know of the memory, in clock cycles. The defaults are the ZCU102 at 300 MHz, as the DDR
/// model of the simulation has it.
struct MemoryTiming {
  double latency = 45;          // address to first beat, last beat to response: 150 ns, an estimate
  double burst_beats = 16;      // longest burst
  double read_overhead = 0.2;   // added to the beats of a read burst ...
  double read_minimum = 4.138;  // ... which takes at least this
  struct Capacity {             // bytes per cycle
    double read;
    double write;
    double mixed;  // half of the bytes read, half written
  };
  Capacity one_port = {15.87, 16.0, 31.1};
  Capacity two_ports = {31.53, 32.0, 42.0};
};

/// A program's duration and what its units did.
struct Schedule {
  double cycles = 0;               // from the command's start to its completion
  double array_cycles = 0;         // in which the array makes steps
  std::vector<double> finished;    // of each instruction; settings: when they were taken
  std::vector<double> dispatched;  // of each instruction
};

/// Simulates a program of encoded instructions, at most `isa::instruction_words` words each; it must be one that the
/// engine accepts.
Schedule schedule(const Config& config, std::span<const std::uint32_t> program, const MemoryTiming& timing = {});

}  // namespace cosoc::conv2d
