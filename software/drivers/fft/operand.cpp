#include "drivers/fft/operand.hpp"

#include <utility>

namespace cosoc::fft {
namespace {

/// Rows of all columns as they are interleaved, or of one transform each.
Operand shaped(const Command& command, bool one_transform_a_row) {
  const std::uint64_t length = std::uint64_t{1} << command.log2_length;
  const std::uint64_t columns = std::uint64_t{1} << command.interleave_log2;
  Operand operand{.row_samples = columns, .rows = length, .frames = command.frames};
  if (one_transform_a_row || columns == 1) std::swap(operand.row_samples, operand.rows);
  return operand;
}

/// The rows of an operand from the spans that `transfer` gives for its transfers.
template <class Byte, class Transfer>
std::vector<std::span<Byte>> rows_of(const Operand& operand, const Transfer& transfer) {
  std::vector<std::span<Byte>> rows;
  const std::uint64_t bytes = operand.transfer_bytes();
  const std::uint64_t pieces_of_frame = operand.rows_joined() ? 1 : operand.rows;
  const std::uint64_t frames = operand.frames_joined() ? 1 : operand.frames;
  for (std::uint64_t frame = 0; frame < frames; ++frame) {
    for (std::uint64_t piece = 0; piece < pieces_of_frame; ++piece) {
      const std::span<Byte> span =
          transfer(operand.address + frame * operand.frame_stride + piece * operand.row_stride, bytes);
      if (span.empty()) return {};
      for (std::uint64_t at = 0; at < bytes; at += operand.row_bytes()) {
        rows.push_back(span.subspan(at, operand.row_bytes()));
      }
    }
  }
  return rows;
}

}  // namespace

Operand Operand::input(const Command& command) {
  Operand operand = shaped(command, false);
  operand.address = command.in_address;
  operand.row_stride = command.in_row_stride;
  operand.frame_stride = command.in_frame_stride;
  return operand;
}

Operand Operand::output(const Command& command) {
  Operand operand = shaped(command, command.transpose != 0);
  operand.row_samples += command.real != 0 ? 1 : 0;
  operand.address = command.out_address;
  operand.row_stride = command.out_row_stride;
  operand.frame_stride = command.out_frame_stride;
  return operand;
}

Operand Operand::second(const Command& command) {
  Operand operand = shaped(command, command.transpose != 0);
  operand.address = command.b_address;
  operand.row_stride = command.b_row_stride;
  operand.frame_stride = command.b_frame_stride;
  return operand;
}

std::uint64_t Operand::transfer_bytes() const {
  return row_bytes() * (rows_joined() ? rows : 1) * (frames_joined() ? frames : 1);
}

std::uint64_t Operand::transfers() const { return (rows_joined() ? 1 : rows) * (frames_joined() ? 1 : frames); }

std::vector<std::span<const std::byte>> Operand::read(CommandMemory& memory) const {
  return rows_of<const std::byte>(
      *this, [&](std::uint64_t address, std::uint64_t bytes) { return memory.read(address, bytes); });
}

std::vector<std::span<std::byte>> Operand::write(CommandMemory& memory) const {
  return rows_of<std::byte>(*this,
                            [&](std::uint64_t address, std::uint64_t bytes) { return memory.write(address, bytes); });
}

}  // namespace cosoc::fft
