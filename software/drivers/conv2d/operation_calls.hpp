/// The layers of a call as the compiler takes them: which base register each of its tensors has.
#pragma once

#include "drivers/conv2d/compiler.hpp"
#include "drivers/conv2d/operation.hpp"

namespace cosoc::conv2d {

/// Base registers that every call has; those of its feature maps follow.
enum class CallBase : std::uint32_t { constants, temporaries, tensors };

/// What the compiler needs to know of a call's layers, and what the command does.
struct OperationCalls {
  std::vector<LayerCall> calls;
  std::vector<Operand> tensors;  // feature maps by base register, from CallBase::tensors up
  std::uint64_t temporary_bytes = 0;
};

/// Fails when a call has more feature maps than there are base registers.
Result<OperationCalls> calls_of(const Operations& operations);

/// Whether a program stores a temporary, because it finds no room on chip until its last reader.
bool stores_temporaries(const Program& program);

/// A command for the program, without the bases of its feature maps.
Command command_for(const Program& program, std::uint64_t instructions, std::uint64_t constants,
                    std::uint64_t temporaries);

/// Sets one of the command's base addresses.
void set_base(Command& command, std::size_t index, std::uint64_t address);

}  // namespace cosoc::conv2d
