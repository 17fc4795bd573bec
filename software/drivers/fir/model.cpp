#include "drivers/fir/model.hpp"

#include <algorithm>
#include <vector>

#include "device/cycles.hpp"
#include "drivers/fir/cycles.hpp"
#include "kernels/fir.hpp"

namespace cosoc::fir {
namespace {

/// A command has fewer samples than this: the bytes of a transfer are counted in 32 bits.
constexpr std::uint32_t max_samples = 1U << 29;

std::span<Complex> complexes(std::span<std::byte> bytes) {
  return {reinterpret_cast<Complex*>(bytes.data()), bytes.size() / sizeof(Complex)};
}

std::span<const Complex> complexes(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const Complex*>(bytes.data()), bytes.size() / sizeof(Complex)};
}

/// Filters the frames of a command. False when `out` has not as many elements as there are results: those above are
/// dropped, and missing ones are zero.
bool filter(const Command& command, std::span<const Complex> in, std::span<const Complex> taps,
            std::span<Complex> out) {
  const bool accumulate = command.opcode == static_cast<std::uint32_t>(FIROperation::accumulate);
  std::size_t done = 0;
  std::vector<Complex> results;
  for (std::size_t first = 0; first < in.size(); first += command.length) {
    const auto frame = in.subspan(first, std::min<std::size_t>(command.length, in.size() - first));
    results.assign((frame.size() + command.decimation - 1) / command.decimation, Complex{});
    const std::size_t given = done < out.size() ? std::min(results.size(), out.size() - done) : 0;
    std::copy_n(out.begin() + static_cast<std::ptrdiff_t>(std::min(done, out.size())), given, results.begin());
    fir_frame(frame, taps, command.delay, command.decimation, accumulate, results.data());
    std::copy_n(results.begin(), given, out.begin() + static_cast<std::ptrdiff_t>(std::min(done, out.size())));
    done += results.size();
  }
  if (done < out.size()) std::fill(out.begin() + static_cast<std::ptrdiff_t>(done), out.end(), Complex{});
  return done == out.size();
}

}  // namespace

ErrorCode FIRModel::check(const Command& command) const {
  if (command.opcode > static_cast<std::uint32_t>(FIROperation::accumulate)) return ErrorCode::bad_opcode;
  if (command.outputs == 0 || command.outputs > command.samples || command.samples >= max_samples ||
      command.length == 0 || command.taps == 0 || command.taps > config_.multipliers) {
    return ErrorCode::bad_length;
  }
  if ((command.in_address | command.out_address | command.taps_address) % 16 != 0) return ErrorCode::misaligned;
  if (command.decimation == 0 || command.delay >= config_.max_taps) return ErrorCode::bad_parameter;
  return ErrorCode::none;
}

Execution FIRModel::execute(const CommandWords& words, CommandMemory& memory) {
  const auto command = Command::decode(words);
  if (const ErrorCode error = check(command); error != ErrorCode::none) return {error, refused_cycles, refused_cycles};
  const auto taps = memory.read(command.taps_address, command.taps * sizeof(Complex));
  const auto in = memory.read(command.in_address, command.samples * sizeof(Complex));
  const std::size_t out_bytes = command.outputs * sizeof(Complex);
  const bool accumulate = command.opcode == static_cast<std::uint32_t>(FIROperation::accumulate);
  const bool sums = !accumulate || !memory.read(command.out_address, out_bytes).empty();
  const auto out = memory.write(command.out_address, out_bytes);
  ErrorCode error = ErrorCode::none;
  if (!taps.empty() && !in.empty() && sums && !out.empty()) {
    if (!filter(command, complexes(in), complexes(taps), complexes(out))) error = ErrorCode::bad_length;
  }
  return {error, command_cycles(config_, command), queued_cycles(config_, command)};
}

}  // namespace cosoc::fir
