#include "drivers/zip/cycles.hpp"

#include <algorithm>

#include "device/cycles.hpp"
#include "drivers/zip/format.hpp"

namespace cosoc::zip {
namespace {

/// Of a command alone: its way through ring, checks, lanes, buffers and bus, all but memory's latency. Memory gives
/// its bandwidth by what the time before was like, which makes 30 cycles more or less.
constexpr double core_latency = 156;

/// Memory expects reads alone when a command begins on an idle accelerator, and serves reads and writes together slowly
/// at first; this much more where they need nearly all of its bandwidth.
constexpr double first_mixture = 55;
constexpr double nearly_all = 0.97;

/// Between commands whose short b must come first, on each engine.
constexpr double short_operand = 14;

constexpr double beat_bytes = 16;

/// Cycles of a beat on a read channel: bursts of 16 beats take 16.2 cycles.
constexpr double read_beat_cycles = 16.2 / 16;

/// Of the command's own beats: a burst of 7 that is read, and the completion.
constexpr double command_reads = 7.2;
constexpr double command_writes = 1;

/// Bytes per cycle of memory: reads alone, and as many reads as writes; one port, and two.
constexpr double pure_rate[2] = {15.867, 31.533};
constexpr double mixed_rate[2] = {31.1, 42.0};

/// Cycles that each part of the way needs for a command's data.
struct Demand {
  double lanes = 0;
  double channel = 0;  // of reads, on each port
  double memory = 0;   // all of it together
};

double beats(std::uint64_t bytes) { return static_cast<double>((bytes + 15) / 16); }

Demand demand_of(const Config& config, const Command& command) {
  const Shape shape = shape_of(config, command);
  const double operand = beats(std::uint64_t{command.length} * shape.element_bytes);
  const double b = shape.repeats ? beats(std::uint64_t{command.b_length} * shape.element_bytes) : operand;
  const double reads = operand * (shape.with_c ? 2 : 1) + (shape.with_b ? b : 0);
  const double writes = beats(std::uint64_t{command.length} * shape.result_bytes);
  const double total = reads + writes + command_reads + command_writes;
  const double minor = 2 * std::min(reads, writes);
  const double pure = pure_rate[config.memory_ports - 1];
  const double mixed = mixed_rate[config.memory_ports - 1];
  return {.lanes = operand * (config.lanes > config.memory_ports ? 1 : 2) / config.memory_ports,
          .channel = (reads * read_beat_cycles + command_reads) / config.memory_ports,
          .memory = total * beat_bytes * total / (pure * (total - minor) + mixed * minor)};
}

std::uint64_t rounded(double cycles) { return static_cast<std::uint64_t>(cycles + 0.5); }

}  // namespace

std::uint64_t command_cycles(const Config& config, const Command& command) {
  // Alone, a command has one engine and one port, also where there are two.
  Config one = config;
  one.lanes = config.lanes / config.memory_ports;
  one.memory_ports = 1;
  const Demand demand = demand_of(one, command);
  const bool all_of_memory = demand.memory > nearly_all * std::max(demand.lanes, demand.channel);
  return bus_latency + rounded(core_latency + (all_of_memory ? first_mixture : 0)) + queued_cycles(one, command);
}

std::uint64_t queued_cycles(const Config& config, const Command& command) {
  const Demand demand = demand_of(config, command);
  const double between = shape_of(config, command).repeats ? short_operand / config.memory_ports : 0;
  return rounded(std::max({demand.lanes, demand.channel, demand.memory}) + between);
}

}  // namespace cosoc::zip
