#include "drivers/fft/cycles.hpp"

#include <algorithm>

#include "device/cycles.hpp"
#include "drivers/fft/operand.hpp"

namespace cosoc::fft {
namespace {

/// Latencies of the pipeline's operators, as in gateware/fft/formats.py.
struct Latencies {
  std::uint64_t load, add, multiply, store;
};
constexpr Latencies float_latencies = {2, 6, 11, 3};
constexpr Latencies block_latencies = {5, 6, 5, 6};

/// Cycles around the pipeline, and those of the options, as in gateware/fft/cycles.py.
constexpr std::uint64_t core_latency = 37;
/// Ring, DMA and arbiter on the ways of the command, its data and its completion.
constexpr std::uint64_t bus_stages = 83;
constexpr std::uint64_t port_latency = 1;
constexpr std::uint64_t option_latency = 14;
constexpr std::uint64_t real_latency = 16;

constexpr std::uint64_t beat_bytes = 16;
constexpr std::uint64_t burst_beats = 16;
/// What goes through one port before the other one has its turn, as in gateware/fft/chunks.py.
constexpr std::uint64_t chunk_beats = 16;

std::uint64_t divide_up(std::uint64_t a, std::uint64_t b) { return (a + b - 1) / b; }

/// From the first samples of a frame to its first results.
std::uint64_t pipeline_latency(const Config& config, std::uint64_t frame_log2) {
  const bool floats = config.number_format == static_cast<std::uint32_t>(NumberFormat::float32);
  const Latencies& latency = floats ? float_latencies : block_latencies;
  std::uint64_t cycles = 2 + latency.load + latency.store + frame_log2 * latency.add;
  for (std::uint64_t stage = 0; stage < frame_log2; ++stage) cycles += (std::uint64_t{1} << stage) / config.samples;
  return cycles + (frame_log2 - 1) / 2 * latency.multiply;
}

/// Cycles of the read channel of one port, in 1/1000: bursts have a gap, and short ones take a minimum.
std::uint64_t read_time(const Operand& operand, std::uint64_t ports) {
  constexpr std::uint64_t gap = 200;
  constexpr std::uint64_t minimum = 4138;
  const std::uint64_t beats = divide_up(operand.transfer_bytes(), beat_bytes);
  const std::uint64_t bursts = divide_up(beats, burst_beats);
  return operand.transfers() * std::max(beats * 1000 + bursts * gap, bursts * minimum) / ports;
}

/// Cycles that each part of the way needs for a command's data.
struct Demand {
  std::uint64_t pipeline = 0;
  std::uint64_t reads = 0;   // on the read channels
  std::uint64_t memory = 0;  // of both directions together

  std::uint64_t most() const { return std::max({pipeline, reads, memory}); }
};

Demand demand_of(const Config& config, const Command& command) {
  // Bytes per cycle, in 1/1000, of both directions together: one port, and two.
  constexpr std::uint64_t bytes_per_cycle[2] = {31'100, 42'000};
  const Operand in = Operand::input(command);
  const Operand out = Operand::output(command);
  std::uint64_t reads = read_time(in, config.memory_ports);
  std::uint64_t bytes = in.transfers() * in.transfer_bytes() + out.transfers() * out.transfer_bytes();
  if (command.multiply != 0) {
    const Operand second = Operand::second(command);
    reads += read_time(second, 1);
    bytes += second.transfers() * second.transfer_bytes();
  }
  const std::uint64_t samples = std::uint64_t{command.frames} << (command.log2_length + command.interleave_log2);
  const std::uint64_t bins = command.real != 0 ? samples + command.frames : 0;
  return {.pipeline = std::max(samples / config.samples, bins),
          .reads = reads / 1000,
          .memory = bytes * 1000 / bytes_per_cycle[config.memory_ports - 1]};
}

/// With two ports the first chunk comes through one of them alone, and so does the last one go.
std::uint64_t dealing_time(const Command& command) {
  const auto alone = [](const Operand& operand) {
    return std::min(divide_up(operand.transfer_bytes(), beat_bytes), chunk_beats) / 2;
  };
  return port_latency + alone(Operand::input(command)) + alone(Operand::output(command));
}

}  // namespace

std::uint64_t command_cycles(const Config& config, const Command& command) {
  const std::uint64_t frame_log2 = command.log2_length + std::uint64_t{command.interleave_log2};
  const std::uint64_t frame = std::uint64_t{1} << frame_log2;
  const std::uint64_t rate = std::min<std::uint64_t>(std::max(2U, config.samples), 2 * config.memory_ports);
  std::uint64_t around =
      bus_latency + bus_stages + core_latency + (config.memory_ports > 1 ? dealing_time(command) : 0);
  if (config.multiply != 0 || config.real_input != 0) around += option_latency;
  if (config.real_input != 0) around += real_latency;

  // The first frame is read while nothing is written, and the last one written while nothing is read.
  Command first = command;
  first.frames = 1;
  const Demand demand = demand_of(config, first);
  const std::uint64_t entering = std::max(demand.pipeline, demand.reads);
  const std::uint64_t leaving = command.real != 0 ? frame + 1 : frame / rate;
  const std::uint64_t others = demand_of(config, command).most() - demand.most();
  return around + entering + pipeline_latency(config, frame_log2) + leaving + others;
}

std::uint64_t queued_cycles(const Config& config, const Command& command) { return demand_of(config, command).most(); }

}  // namespace cosoc::fft
