#include "drivers/zip/cycles.hpp"

#include <algorithm>

#include "device/cycles.hpp"
#include "drivers/zip/format.hpp"

namespace cosoc::zip {
namespace {

/// From the last read beat's arrival to its result on the bus, and from the command's beats to the first request.
constexpr double core_latency = 65;

constexpr double beat_bytes = 16;

/// Cycles of a beat on a read channel: bursts of 16 beats take 16.2 cycles.
constexpr double read_beat_cycles = 16.2 / 16;

/// Of the command's own beats: a burst of 7 that is read, and the completion.
constexpr double command_reads = 7.2;
constexpr double command_writes = 1;

/// Bytes per cycle of memory: reads alone, and as many reads as writes; one port, and two.
constexpr double pure_rate[2] = {15.867, 31.533};
constexpr double mixed_rate[2] = {31.1, 42.0};

double beats(std::uint64_t bytes) { return static_cast<double>((bytes + 15) / 16); }

}  // namespace

std::uint64_t command_cycles(const Config& config, const Command& command) {
  // Alone, a command has one engine and one port, also where there are two.
  Config one = config;
  one.lanes = config.lanes / config.memory_ports;
  one.memory_ports = 1;
  return bus_latency + static_cast<std::uint64_t>(core_latency) + queued_cycles(one, command);
}

std::uint64_t queued_cycles(const Config& config, const Command& command) {
  const Shape shape = shape_of(config, command);
  const std::uint64_t bytes = std::uint64_t{command.length} * shape.element_bytes;
  const double operand = beats(bytes);
  const double b = shape.repeats ? beats(std::uint64_t{command.b_length} * shape.element_bytes) : operand;
  const double reads = operand * (shape.with_c ? 2 : 1) + (shape.with_b ? b : 0);
  const double writes = beats(std::uint64_t{command.length} * shape.result_bytes);

  const double ports = config.memory_ports;
  const double lanes = operand * (config.lanes > config.memory_ports ? 1 : 2) / ports;
  const double channel = (reads * read_beat_cycles + command_reads) / ports;
  const double total = reads + writes + command_reads + command_writes;
  const double minor = 2 * std::min(reads, writes);
  const double rate =
      (pure_rate[config.memory_ports - 1] * (total - minor) + mixed_rate[config.memory_ports - 1] * minor) / total;
  return static_cast<std::uint64_t>(std::max({lanes, channel, total * beat_bytes / rate}) + 0.5);
}

}  // namespace cosoc::zip
