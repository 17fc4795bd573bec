#include "drivers/zip/cycles.hpp"

#include <algorithm>
#include <cmath>

#include "device/cycles.hpp"
#include "drivers/zip/format.hpp"
#include "kernels/zip.hpp"

namespace cosoc::zip {
namespace {

/// Of a command alone: its way through ring, checks, buffers and bus, all but the lanes and memory's latency.
constexpr double core_latency = 84;

/// Cycles in the lanes, in float32 and in int16.
constexpr double plain_latency[2] = {19, 9};
constexpr double divided_latency[2] = {45, 28};

constexpr double beat_bytes = 16;

/// Cycles of a beat on a read channel: bursts of 16 beats take 16.2 cycles.
constexpr double read_beat_cycles = 16.2 / 16;

/// Of the command's own beats: a burst of 7 that is read, and the completion.
constexpr double command_reads = 7.2;
constexpr double command_writes = 1;

/// Bytes per cycle of memory: reads alone, and as many reads as writes; one port, and two.
constexpr double pure_rate[2] = {15.867, 31.533};
constexpr double mixed_rate[2] = {31.1, 42.0};

/// Memory serves a mixture fast for some time after the last write: as from half of all beats on, from this share on.
constexpr double mixed_share = 0.3125;

/// Cycles that each part of the way needs for a command's data.
struct Demand {
  double lanes = 0;
  double channel = 0;  // of reads, on each port
  double memory = 0;   // all of it together
};

double beats(std::uint64_t bytes) {
  const std::uint64_t whole = (bytes + 15) / 16;
  return static_cast<double>(whole);
}

Demand demand_of(const Config& config, const Command& command) {
  const Shape shape = shape_of(config, command);
  const double operand = beats(std::uint64_t{command.length} * shape.element_bytes);
  const double b = shape.repeats ? beats(std::uint64_t{command.b_length} * shape.element_bytes) : operand;
  const double reads = operand * (shape.with_c ? 2 : 1) + (shape.with_b ? b : 0);
  const double writes = beats(std::uint64_t{command.length} * shape.result_bytes);
  const double total = reads + writes + command_reads + command_writes;
  const double mixed_part = std::min(1.0, std::min(reads, writes) / (mixed_share * total));
  const double pure = pure_rate[config.memory_ports - 1];
  const double mixed = mixed_rate[config.memory_ports - 1];
  return {.lanes = operand * (config.lanes > config.memory_ports ? 1 : 2) / config.memory_ports,
          .channel = (reads * read_beat_cycles + command_reads) / config.memory_ports,
          .memory = total * beat_bytes / (pure * (1 - mixed_part) + mixed * mixed_part)};
}

std::uint64_t rounded(double cycles) { return static_cast<std::uint64_t>(std::llround(cycles)); }

}  // namespace

std::uint64_t command_cycles(const Config& config, const Command& command) {
  // Alone, a command has one engine and one port, also where there are two.
  Config one = config;
  one.lanes = config.lanes / config.memory_ports;
  one.memory_ports = 1;
  const bool divided = is_divided(static_cast<ZIPKind>(command.opcode));
  const double lanes = (divided ? divided_latency : plain_latency)[config.number_format];
  return bus_latency + rounded(core_latency + lanes) + queued_cycles(one, command);
}

std::uint64_t queued_cycles(const Config& config, const Command& command) {
  const Demand demand = demand_of(config, command);
  return rounded(std::max({demand.lanes, demand.channel, demand.memory}));
}

}  // namespace cosoc::zip
