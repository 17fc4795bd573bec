#include "drivers/zip/format.hpp"

#include "kernels/zip.hpp"

namespace cosoc::zip {

Shape shape_of(const Config& config, const Command& command) {
  const auto kind = static_cast<ZIPKind>(command.opcode);
  const std::uint64_t real_bytes = config.number_format == 0 ? 4 : 2;
  const bool with_b = operands_of(kind) > 1 && command.b_constant == 0;
  return {.element_bytes = is_real(kind) ? real_bytes : 2 * real_bytes,
          .result_bytes = is_real(kind) || is_narrow(kind) ? real_bytes : 2 * real_bytes,
          .with_b = with_b,
          .repeats = with_b && command.b_length != 0,
          .with_c = operands_of(kind) > 2};
}

}  // namespace cosoc::zip
