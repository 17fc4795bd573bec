#include "device/cycles.hpp"

#include <algorithm>

namespace cosoc {
namespace {

/// Memory latency of the command's fetch, of its first load, of its last store and of its completion.
constexpr std::uint64_t bus_latency = 150;

constexpr std::uint64_t divide_up(std::uint64_t a, std::uint64_t b) { return (a + b - 1) / b; }

/// Cycles for which a Conv2D command keeps each unit busy.
struct Conv2DPhases {
  std::uint64_t load;     // activations
  std::uint64_t weights;  // and channel parameters, of one block
  std::uint64_t compute;  // of one block
  std::uint64_t store;
  std::uint64_t blocks;
};

Conv2DPhases phases_of(const conv2d::Config& config, const conv2d::Command& command) {
  constexpr std::uint64_t claim = 1;
  constexpr std::uint64_t result_groups = 4;  // a pixel's sums leave the array in so many cycles
  const bool partial = (command.flags & static_cast<std::uint32_t>(conv2d::Conv2DFlag::partial)) != 0;
  const std::uint64_t steps = std::uint64_t{command.kernel_height} * command.kernel_width * command.in_words;
  const std::uint64_t pixels = std::uint64_t{command.out_rows} * command.out_columns;
  const std::uint64_t channel_beats = partial ? 0 : config.output_lanes / 2;
  return {.load = std::uint64_t{command.in_rows} * command.in_columns * command.in_words + claim,
          .weights = steps * config.output_lanes + channel_beats + claim,
          .compute = pixels * std::max(steps, result_groups),
          .store = partial ? 0 : pixels * command.out_words,
          .blocks = command.out_blocks};
}

}  // namespace

std::uint64_t conv2d::command_cycles(const Config& config, const Command& command) {
  constexpr std::uint64_t core_latency = 43;
  const Conv2DPhases p = phases_of(config, command);
  const std::uint64_t last_block_begins =
      std::max(p.load + p.weights + (p.blocks - 1) * p.compute,  // array never waits
               p.load + p.blocks * p.weights);                   // loads never wait
  return bus_latency + core_latency + last_block_begins + p.compute + p.store;
}

std::uint64_t conv2d::queued_cycles(const Config& config, const Command& command) {
  constexpr std::uint64_t prepare = 15;
  constexpr std::uint64_t command_gap = 2;
  constexpr std::uint64_t store_gap = 4;
  const Conv2DPhases p = phases_of(config, command);
  return std::max({p.load + p.blocks * p.weights, p.blocks * p.compute + command_gap, p.store + store_gap, prepare});
}

std::uint64_t fft::command_cycles(const Config& config, const Command& command) {
  constexpr std::uint64_t core_latency = 11;
  constexpr std::uint64_t add_latency = 5;
  constexpr std::uint64_t product_latency = 10;
  std::uint64_t pipeline = 6;
  for (std::uint64_t half = std::uint64_t{1} << command.log2_length >> 1; half > 0; half /= 2) {
    pipeline += add_latency + std::max(half, product_latency);
  }
  const std::uint64_t reorder = std::uint64_t{1} << command.log2_length >> 1;
  return bus_latency + core_latency + pipeline + reorder + queued_cycles(config, command);
}

std::uint64_t fft::queued_cycles(const Config&, const Command& command) {
  return std::uint64_t{command.frames} << command.log2_length;
}

std::uint64_t zip::command_cycles(const Config& config, const Command& command) {
  constexpr std::uint64_t core_latency = 38;
  return bus_latency + core_latency + queued_cycles(config, command);
}

std::uint64_t zip::queued_cycles(const Config& config, const Command& command) {
  // Both operands come through one read channel: two beats for two elements.
  const std::uint64_t beats = divide_up(command.length, 2);
  return beats * std::max<std::uint64_t>(2, 2 / config.lanes);
}

}  // namespace cosoc
