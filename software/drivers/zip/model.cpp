#include "drivers/zip/model.hpp"

#include <bit>

#include "device/cycles.hpp"
#include "drivers/zip/cycles.hpp"
#include "drivers/zip/format.hpp"
#include "kernels/zip.hpp"
#include "kernels/zip_integers.hpp"

namespace cosoc::zip {
namespace {

/// A command has fewer elements than this: the bytes of a transfer are counted in 32 bits.
constexpr std::uint32_t max_length = 1U << 29;

ErrorCode check(const Config& config, const Command& command) {
  if (command.opcode > static_cast<std::uint32_t>(ZIPOperation::real_multiply_add)) return ErrorCode::bad_opcode;
  const Shape shape = shape_of(config, command);
  const std::uint64_t repeated = shape.repeats ? std::uint64_t{command.b_length} * shape.element_bytes : 0;
  if (command.length == 0 || command.length >= max_length) return ErrorCode::bad_length;
  if (shape.repeats && (command.b_length > command.length || repeated > max_repeated_bytes)) {
    return ErrorCode::bad_length;
  }
  const std::uint64_t addresses = command.a_address | command.out_address | (shape.with_b ? command.b_address : 0) |
                                  (shape.with_c ? command.c_address : 0);
  if (addresses % 16 != 0) return ErrorCode::misaligned;
  if (command.b_length > 1 && repeated % slot_bytes_of_b != 0) return ErrorCode::bad_parameter;
  return ErrorCode::none;
}

}  // namespace

Execution ZIPModel::execute(const CommandWords& words, CommandMemory& memory) {
  const auto command = Command::decode(words);
  if (const ErrorCode error = check(config_, command); error != ErrorCode::none) {
    return {error, refused_cycles, refused_cycles};
  }
  const Shape shape = shape_of(config_, command);
  const std::size_t bytes = std::size_t{command.length} * shape.element_bytes;
  const std::size_t b_count = shape.repeats ? command.b_length : command.length;
  const auto a = memory.read(command.a_address, bytes);
  const auto b = shape.with_b ? memory.read(command.b_address, b_count * shape.element_bytes) : a;
  const auto c = shape.with_c ? memory.read(command.c_address, bytes) : a;
  const auto out = memory.write(command.out_address, std::size_t{command.length} * shape.result_bytes);
  if (!a.empty() && !b.empty() && !c.empty() && !out.empty()) {
    const auto kind = static_cast<ZIPKind>(command.opcode);
    const auto constant = std::bit_cast<std::array<std::byte, sizeof(command.constant)>>(command.constant);
    const bool from_memory = command.b_constant == 0;
    const std::byte* const second = from_memory ? b.data() : constant.data();
    const std::size_t second_count = from_memory ? b_count : constant.size() / shape.element_bytes;
    if (config_.number_format == 0) {
      zip_elements(kind, {.a = reinterpret_cast<const float*>(a.data()),
                          .b = reinterpret_cast<const float*>(second),
                          .c = reinterpret_cast<const float*>(c.data()),
                          .out = reinterpret_cast<float*>(out.data()),
                          .count = command.length,
                          .b_count = second_count});
    } else {
      zip_integers(kind, {.a = reinterpret_cast<const std::int16_t*>(a.data()),
                          .b = reinterpret_cast<const std::int16_t*>(second),
                          .c = reinterpret_cast<const std::int16_t*>(c.data()),
                          .out = reinterpret_cast<std::int16_t*>(out.data()),
                          .count = command.length,
                          .b_count = second_count,
                          .shift = command.shift});
    }
  }
  return {ErrorCode::none, command_cycles(config_, command), queued_cycles(config_, command)};
}

}  // namespace cosoc::zip
