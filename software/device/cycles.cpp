#include "device/cycles.hpp"

#include <algorithm>

namespace cosoc {
namespace {

/// Fetch of the command, latency of the first read, of the last write and of the completion.
constexpr std::uint64_t command_overhead = 150;

constexpr std::uint64_t divide_up(std::uint64_t a, std::uint64_t b) { return (a + b - 1) / b; }

}  // namespace

std::uint64_t conv2d::command_cycles(const Config& config, const Command& command) {
  const std::uint64_t pixels = std::uint64_t{command.out_rows} * command.out_columns;
  const std::uint64_t steps = std::uint64_t{command.kernel_height} * command.kernel_width * command.in_words;
  const std::uint64_t compute = pixels * steps * command.out_blocks;
  const std::uint64_t load_input = std::uint64_t{command.in_rows} * command.in_columns * command.in_words;
  const std::uint64_t load_weights = command.out_blocks * steps * config.output_lanes;
  const bool partial = (command.flags & static_cast<std::uint32_t>(Conv2DFlag::partial)) != 0;
  const std::uint64_t store = partial ? 0 : pixels * command.out_words;
  return command_overhead + std::max({compute, load_input + load_weights, store});
}

std::uint64_t fft::command_cycles(const Config&, const Command& command) {
  const std::uint64_t length = std::uint64_t{1} << command.log2_length;
  // A sample per cycle; the pipeline and the reordering hold two frames.
  return command_overhead + (command.frames + 2) * length;
}

std::uint64_t zip::command_cycles(const Config& config, const Command& command) {
  // Both operands come through one read channel: two beats for two elements.
  return command_overhead + std::max<std::uint64_t>(divide_up(command.length, config.lanes), command.length);
}

}  // namespace cosoc
