#include "drivers/zip/model.hpp"

#include <cstring>
#include <vector>

#include "device/cycles.hpp"
#include "drivers/zip/cycles.hpp"
#include "kernels/zip.hpp"

namespace cosoc::zip {
namespace {

/// A command has fewer elements than this: the bytes of a transfer are counted in 32 bits.
constexpr std::uint32_t max_length = 1U << 29;

ErrorCode check(const Command& command) {
  if (command.opcode > static_cast<std::uint32_t>(ZIPOperation::conjugate_mul)) return ErrorCode::bad_opcode;
  if (command.length == 0 || command.length >= max_length) return ErrorCode::bad_length;
  if ((command.a_address | command.b_address | command.out_address) % 16 != 0) return ErrorCode::misaligned;
  return ErrorCode::none;
}

}  // namespace

Execution ZIPModel::execute(const CommandWords& words, CommandMemory& memory) {
  const auto command = Command::decode(words);
  if (const ErrorCode error = check(command); error != ErrorCode::none) return {error, refused_cycles, refused_cycles};
  const std::size_t bytes = std::size_t{command.length} * sizeof(Complex);
  const auto a = memory.read(command.a_address, bytes);
  const auto b = memory.read(command.b_address, bytes);
  const auto out = memory.write(command.out_address, bytes);
  if (!a.empty() && !b.empty() && !out.empty()) {
    zip_elements(static_cast<ZIPKind>(command.opcode), reinterpret_cast<const Complex*>(a.data()),
                 reinterpret_cast<const Complex*>(b.data()), reinterpret_cast<Complex*>(out.data()), command.length);
  }
  return {ErrorCode::none, command_cycles(config_, command), queued_cycles(config_, command)};
}

}  // namespace cosoc::zip
