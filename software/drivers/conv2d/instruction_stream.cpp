#include "drivers/conv2d/instruction_stream.hpp"

#include <algorithm>

namespace cosoc::conv2d {
namespace {

using isa::Opcode;
using isa::Unit;

Unit unit_of(Opcode opcode) {
  switch (opcode) {
    case Opcode::load:
      return Unit::load;
    case Opcode::weights:
    case Opcode::channels:
      return Unit::weights;
    case Opcode::store:
      return Unit::store;
    default:
      return Unit::compute;
  }
}

bool is_counted(Opcode opcode) {
  return opcode != Opcode::micro && opcode != Opcode::geometry && opcode != Opcode::output;
}

}  // namespace

std::vector<StreamInstruction> decode_stream(std::span<const std::uint32_t> program) {
  std::vector<StreamInstruction> instructions;
  std::array<std::uint64_t, units> before{};
  for (std::size_t at = 0; at + isa::instruction_words <= program.size(); at += isa::instruction_words) {
    StreamInstruction instruction;
    std::copy_n(program.begin() + static_cast<std::ptrdiff_t>(at), isa::instruction_words, instruction.words.begin());
    instruction.opcode = static_cast<Opcode>(program[at] & 0xF);
    instruction.unit = unit_of(instruction.opcode);
    instruction.counted = is_counted(instruction.opcode);
    for (std::size_t unit = 0; unit < units; ++unit) {
      const std::uint64_t distance = program[at + 1] >> (8 * unit) & 0xFF;
      instruction.targets[unit] = distance == isa::no_wait || distance > before[unit] ? 0 : before[unit] - distance;
    }
    if (instruction.counted) ++before[static_cast<std::size_t>(instruction.unit)];
    instructions.push_back(instruction);
  }
  return instructions;
}

}  // namespace cosoc::conv2d
