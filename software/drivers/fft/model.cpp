#include "drivers/fft/model.hpp"

#include <cstring>
#include <utility>

#include "device/cycles.hpp"
#include "drivers/fft/cycles.hpp"
#include "drivers/fft/operand.hpp"
#include "drivers/fft/transform.hpp"
#include "kernels/fourier/real.hpp"

namespace cosoc::fft {
namespace {

constexpr std::uint32_t min_log2 = 3;
constexpr std::uint32_t alignment = 16;

/// Addresses and strides that a command uses, in one number that is a multiple of 16 if all are.
std::uint64_t used_addresses(const Command& command) {
  const bool columns = command.interleave_log2 != 0;
  const bool several = command.frames > 1;
  const std::uint64_t bins = sizeof(Complex) * ((std::uint64_t{1} << command.log2_length) + 1);
  const bool packed = command.real != 0 && command.out_frame_stride == bins;
  std::uint64_t used = command.in_address | command.out_address;
  if (columns) used |= command.in_row_stride | command.out_row_stride;
  if (several) used |= command.in_frame_stride | (packed ? 0 : command.out_frame_stride);
  if (command.multiply == 0) return used;
  return used | command.b_address | (columns ? command.b_row_stride : 0) | (several ? command.b_frame_stride : 0);
}

Complex element(std::span<const std::byte> row, std::size_t index) {
  Complex value;
  std::memcpy(&value, row.data() + index * sizeof(Complex), sizeof(Complex));
  return value;
}

/// The samples of one frame: `columns` transforms, one after the other.
std::vector<Complex> gather(std::span<const std::span<const std::byte>> rows, std::size_t length, std::size_t columns) {
  std::vector<Complex> samples(length * columns);
  for (std::size_t column = 0; column < columns; ++column) {
    for (std::size_t n = 0; n < length; ++n) {
      samples[column * length + n] = columns == 1 ? element(rows[0], n) : element(rows[n], column);
    }
  }
  return samples;
}

}  // namespace

ErrorCode FFTModel::check(const Command& command) const {
  if (command.opcode > static_cast<std::uint32_t>(FFTOperation::inverse)) return ErrorCode::bad_opcode;
  const std::uint32_t frame_log2 = command.log2_length + std::uint32_t{command.interleave_log2};
  if (command.log2_length < min_log2 || frame_log2 > config_.max_log2) return ErrorCode::bad_length;
  // The bytes of an operand are counted in 32 bits.
  if (command.frames == 0 || command.frames >= 1U << (29 - frame_log2 - command.real)) return ErrorCode::bad_length;
  if (used_addresses(command) % alignment != 0) return ErrorCode::misaligned;
  if (command.interleave_log2 == 1) return ErrorCode::bad_parameter;
  if (command.real > config_.real_input || command.multiply > config_.multiply) return ErrorCode::bad_parameter;
  const bool forward = command.opcode == static_cast<std::uint32_t>(FFTOperation::forward);
  const bool plain = command.interleave_log2 == 0 && command.scaled == 0 && command.multiply == 0 && forward;
  return command.real != 0 && !plain ? ErrorCode::bad_parameter : ErrorCode::none;
}

Execution FFTModel::execute(const CommandWords& words, CommandMemory& memory) {
  const auto command = Command::decode(words);
  if (const ErrorCode error = check(command); error != ErrorCode::none) return {error, refused_cycles, refused_cycles};
  const Execution execution{ErrorCode::none, command_cycles(config_, command), queued_cycles(config_, command)};
  const auto in = Operand::input(command).read(memory);
  const auto b = command.multiply != 0 ? Operand::second(command).read(memory) : decltype(in){};
  const auto out = Operand::output(command).write(memory);
  if (in.empty() || out.empty() || (command.multiply != 0 && b.empty())) return execution;

  const std::size_t length = std::size_t{1} << command.log2_length;
  const std::size_t columns = std::size_t{1} << command.interleave_log2;
  const bool inverse = command.opcode == static_cast<std::uint32_t>(FFTOperation::inverse);
  const bool whole_rows = columns == 1 || command.transpose != 0;  // a row of the output is one transform
  const auto transform = make_transform(config_, length, command.interleave_log2);
  for (std::size_t frame = 0; frame < command.frames; ++frame) {
    const std::size_t in_rows = in.size() / command.frames;
    const std::size_t out_rows = out.size() / command.frames;
    auto values = gather(std::span(in).subspan(frame * in_rows, in_rows), length, columns);
    for (std::size_t column = 0; column < columns; ++column) {
      const auto one = std::span(values).subspan(column * length, length);
      transform->run(one, inverse, command.scaled != 0);
    }
    if (command.real != 0) {
      std::vector<Complex> bins(length + 1);
      fourier::real_split_of(length)->execute(values, bins.data());
      values = std::move(bins);
    }
    for (std::size_t row = 0; row < out_rows; ++row) {
      const auto target = out[frame * out_rows + row];
      for (std::size_t i = 0; i < target.size() / sizeof(Complex); ++i) {
        Complex value = whole_rows ? values[row * length + i] : values[i * length + row];
        if (command.multiply != 0) {
          const Complex factor = element(b[frame * out_rows + row], i);
          value = canonical(command.conjugate != 0 ? conjugate_product(value, factor) : value * factor);
        }
        std::memcpy(target.data() + i * sizeof(Complex), &value, sizeof(Complex));
      }
    }
  }
  return execution;
}

}  // namespace cosoc::fft
