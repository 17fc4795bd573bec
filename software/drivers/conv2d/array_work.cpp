#include "drivers/conv2d/array_work.hpp"

#include <algorithm>
#include <array>

#include "drivers/conv2d/tiling.hpp"

namespace cosoc::conv2d {
namespace {

using isa::Opcode;
using Entries = std::array<std::uint8_t, isa::micro_operations>;  // words of each

void write_entries(const isa::Micro& micro, Entries& entries) {
  const std::array counts = {micro.words0, micro.words1, micro.words2, micro.words3};
  for (std::size_t i = 0; i < micro.count; ++i) entries[(micro.address + i) % entries.size()] = counts[i];
}

void count_cycles(const Config& config, const Entries& entries, ArrayWork& work) {
  const isa::Compute& compute = work.compute;
  std::uint64_t steps = 0;
  for (std::size_t i = 0; i < compute.micro_count; ++i) steps += entries[(compute.micro_address + i) % entries.size()];
  const auto of_word = static_cast<std::uint64_t>(word_channels(config)) / config.input_lanes;
  steps = steps * of_word << work.geometry.phases_log2;
  work.groups = static_cast<std::uint64_t>(divide_up(compute.pixels, config.pixel_lanes));
  if (work.geometry.window != 0) {
    steps = compute.micro_count;
    work.groups = compute.pixels / config.pixel_lanes + 1;
  }
  work.steps = std::max<std::uint64_t>(steps, 1);
  if (compute.keep != 0) return;
  work.slices = static_cast<std::uint64_t>(group_slices(config));
  const std::uint64_t results = compute.pixels + (work.geometry.window != 0 ? 1 : 0);
  const std::uint64_t last_pixels = results - (work.groups - 1) * config.pixel_lanes;
  const auto in_slices = static_cast<std::int64_t>(last_pixels * work.slices);
  work.last_slices = static_cast<std::uint64_t>(divide_up(in_slices, config.pixel_lanes));
}

}  // namespace

std::vector<ArrayWork> array_work(const Config& config, std::span<const StreamInstruction> instructions) {
  std::vector<ArrayWork> works;
  Entries entries{};
  isa::Geometry geometry;
  isa::Output output;
  for (const StreamInstruction& instruction : instructions) {
    const std::span<const std::uint32_t, isa::instruction_words> words(instruction.words);
    if (instruction.opcode == Opcode::micro) write_entries(isa::Micro::decode(words), entries);
    if (instruction.opcode == Opcode::geometry) geometry = isa::Geometry::decode(words);
    if (instruction.opcode == Opcode::output) output = isa::Output::decode(words);
    if (instruction.opcode != Opcode::compute) continue;
    works.push_back({.compute = isa::Compute::decode(words), .geometry = geometry, .output = output});
    count_cycles(config, entries, works.back());
  }
  return works;
}

}  // namespace cosoc::conv2d
