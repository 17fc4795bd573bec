#include "drivers/conv2d/operation_calls.hpp"

#include <algorithm>
#include <string>

#include "drivers/conv2d/instruction_stream.hpp"

namespace cosoc::conv2d {
namespace {

constexpr std::size_t bases = 8;
constexpr std::uint64_t alignment = 64;

/// A temporary of a call: the layers between which it lives, and its place behind its base register.
struct Temporary {
  std::size_t first = 0;
  std::size_t last = 0;
  std::uint64_t begin = 0;
  std::uint64_t end = 0;
};

bool is(const Operand& operand, std::size_t temporary) {
  return operand.kind == Operand::Kind::temporary && operand.index == temporary;
}

/// Places for all temporaries; those that never live at the same time may share memory.
std::vector<Temporary> place_temporaries(const Operations& operations) {
  std::vector<Temporary> placed;
  for (std::size_t index = 0; index < operations.temporaries.size(); ++index) {
    Temporary own;
    for (std::size_t layer = 0; layer < operations.layers.size(); ++layer) {
      const Operation& operation = operations.layers[layer];
      if (is(operation.out, index)) own.first = layer;
      if (is(operation.in, index) || is(operation.residual, index)) own.last = layer;
    }
    const std::uint64_t bytes = (operations.temporaries[index] + alignment - 1) & ~(alignment - 1);
    const auto in_the_way = [&](const Temporary& other) {
      return own.first <= other.last && other.first <= own.last && own.begin < other.end && other.begin < own.end;
    };
    own.end = bytes;
    for (auto other = placed.begin(); other != placed.end();) {
      other = std::find_if(placed.begin(), placed.end(), in_the_way);
      if (other == placed.end()) break;
      own.begin = other->end;
      own.end = own.begin + bytes;
    }
    placed.push_back(own);
  }
  return placed;
}

}  // namespace

Result<OperationCalls> calls_of(const Operations& operations) {
  OperationCalls result;
  const std::vector<Temporary> temporaries = place_temporaries(operations);
  for (const Temporary& each : temporaries) result.temporary_bytes = std::max(result.temporary_bytes, each.end);
  const auto place = [&](const Operand& operand) -> Place {
    if (operand.kind == Operand::Kind::temporary) {
      return {static_cast<std::uint32_t>(CallBase::temporaries), temporaries[operand.index].begin};
    }
    auto found = std::find(result.tensors.begin(), result.tensors.end(), operand);
    if (found == result.tensors.end()) found = result.tensors.insert(found, operand);
    const auto number = static_cast<std::uint32_t>(found - result.tensors.begin());
    return {static_cast<std::uint32_t>(CallBase::tensors) + number, 0};
  };
  for (const Operation& operation : operations.layers) {
    LayerCall call = {.layer = operation.layer, .in = place(operation.in), .out = place(operation.out), .residual = {}};
    if (operation.layer.residual) call.residual = place(operation.residual);
    call.temporary = operation.out.kind == Operand::Kind::temporary;
    result.calls.push_back(call);
  }
  const std::size_t most = bases - static_cast<std::size_t>(CallBase::tensors);
  if (result.tensors.size() > most) {
    return failure("a call of " + std::to_string(result.tensors.size()) +
                   " feature maps is not possible; Conv2D reaches up to " + std::to_string(most));
  }
  return result;
}

bool stores_temporaries(const Program& program) {
  const std::vector<StreamInstruction> instructions = decode_stream(program.instructions);
  return std::any_of(instructions.begin(), instructions.end(), [](const StreamInstruction& instruction) {
    return instruction.opcode == isa::Opcode::store &&
           isa::Store::decode(instruction.words).base == static_cast<std::uint32_t>(CallBase::temporaries);
  });
}

Command command_for(const Program& program, std::uint64_t instructions, std::uint64_t constants,
                    std::uint64_t temporaries) {
  Command command;
  command.instruction_address = instructions;
  command.instruction_count = program.instruction_count();
  set_base(command, static_cast<std::size_t>(CallBase::constants), constants);
  set_base(command, static_cast<std::size_t>(CallBase::temporaries), temporaries);
  return command;
}

void set_base(Command& command, std::size_t index, std::uint64_t address) {
  const std::array fields = {&command.base0, &command.base1, &command.base2, &command.base3,
                             &command.base4, &command.base5, &command.base6, &command.base7};
  *fields[index] = address;
}

}  // namespace cosoc::conv2d
