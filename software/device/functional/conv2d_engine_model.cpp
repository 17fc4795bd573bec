#include "device/functional/conv2d_engine_model.hpp"

#include <algorithm>

#include "device/cycles.hpp"

namespace cosoc::conv2d_engine {

std::uint64_t array_cycles(const Config& config, std::span<const std::uint32_t> program) {
  const Extents extents(config);
  std::vector<std::uint64_t> micro_words(isa::micro_operations, 1);
  isa::Geometry geometry;
  std::uint64_t cycles = 0;
  for (std::size_t at = 0; at + isa::instruction_words <= program.size(); at += isa::instruction_words) {
    const auto instruction = decode(config, program.subspan(at).first<isa::instruction_words>());
    if (!instruction) break;
    if (const auto* micro = std::get_if<isa::Micro>(&*instruction)) {
      for (std::size_t i = 0; i < micro->count; ++i) {
        micro_words[(micro->address + i) % micro_words.size()] = micro_operation(*micro, i).words;
      }
    } else if (const auto* settings = std::get_if<isa::Geometry>(&*instruction)) {
      geometry = *settings;
    } else if (const auto* compute = std::get_if<isa::Compute>(&*instruction)) {
      std::uint64_t words = 0;
      for (std::size_t i = 0; i < compute->micro_count; ++i) {
        words += micro_words[(compute->micro_address + i) % micro_words.size()];
      }
      const std::uint64_t groups = (std::uint64_t{compute->pixels} + config.pixel_lanes - 1) / config.pixel_lanes;
      cycles += compute->blocks * groups *
                std::max<std::uint64_t>(words * extents.word_steps << geometry.phases_log2,
                                        config.pixel_lanes / extents.output_pixels);
    }
  }
  return cycles;
}

Execution Model::execute(const CommandWords& words, CommandMemory& memory) {
  const ErrorCode error = machine_.run(Command::decode(words), memory);
  const std::uint64_t cycles = refused_cycles + duration_(machine_.config(), machine_.executed());
  // A transfer's error goes before that of an instruction, which may follow from it.
  return {memory.error() == ErrorCode::none ? error : memory.error(), cycles, cycles};
}

}  // namespace cosoc::conv2d_engine
