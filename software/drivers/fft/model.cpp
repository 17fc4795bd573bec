#include "drivers/fft/model.hpp"

#include "device/cycles.hpp"
#include "drivers/fft/cycles.hpp"
#include "kernels/fft.hpp"

namespace cosoc::fft {
namespace {

constexpr std::uint32_t min_log2 = 3;

/// A command has fewer transforms than this: the bytes of a transfer are counted in 32 bits.
constexpr std::uint32_t max_frames(std::uint32_t log2_length) { return 1U << (29 - log2_length); }

}  // namespace

ErrorCode FFTModel::check(const Command& command) const {
  if (command.opcode > static_cast<std::uint32_t>(FFTOperation::inverse)) return ErrorCode::bad_opcode;
  if (command.log2_length < min_log2 || command.log2_length > config_.max_log2) return ErrorCode::bad_length;
  if (command.frames == 0 || command.frames >= max_frames(command.log2_length)) return ErrorCode::bad_length;
  if ((command.in_address | command.out_address) % 16 != 0) return ErrorCode::misaligned;
  return ErrorCode::none;
}

Execution FFTModel::execute(const CommandWords& words, CommandMemory& memory) {
  const auto command = Command::decode(words);
  if (const ErrorCode error = check(command); error != ErrorCode::none) return {error, refused_cycles, refused_cycles};
  const std::size_t length = std::size_t{1} << command.log2_length;
  const std::size_t bytes = length * command.frames * sizeof(Complex);
  const auto in = memory.read(command.in_address, bytes);
  const auto out = memory.write(command.out_address, bytes);
  if (!in.empty() && !out.empty()) {
    FFTPlan plan(length);
    const bool inverse = command.opcode == static_cast<std::uint32_t>(FFTOperation::inverse);
    for (std::size_t frame = 0; frame < command.frames; ++frame) {
      plan.transform(reinterpret_cast<const Complex*>(in.data()) + frame * length,
                     reinterpret_cast<Complex*>(out.data()) + frame * length, inverse);
    }
  }
  return {ErrorCode::none, command_cycles(config_, command), queued_cycles(config_, command)};
}

}  // namespace cosoc::fft
