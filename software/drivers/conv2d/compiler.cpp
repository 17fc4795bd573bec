#include "drivers/conv2d/compiler.hpp"

#include <array>
#include <string>

#include "drivers/conv2d/compilation.hpp"

namespace cosoc::conv2d {
namespace {

/// Tilings tried for each pass.
constexpr std::array<std::size_t, 3> search_widths = {8, 10, 12};

}  // namespace

Result<Program> Compiler::compile(std::span<const LayerCall> calls, Place constants) const {
  // The tiling that is best for one layer need not be for the next ones: searches of other widths end elsewhere.
  Estimator estimator(config_, memory_latency_);
  auto best = Compilation(config_, estimator, calls, constants, search_widths.front()).run();
  if (!best || calls.size() == 1) return best;
  for (const std::size_t width : std::span(search_widths).subspan(1)) {
    auto other = Compilation(config_, estimator, calls, constants, width).run();
    if (other && other->cycles < best->cycles) best = std::move(other);
  }
  return best;
}

Result<Program> Compiler::compile(const Layer& layer) const {
  const auto place = [](Base base) { return Place{static_cast<std::uint32_t>(base), 0}; };
  const LayerCall call = {layer, place(Base::input), place(Base::output), place(Base::residual)};
  return compile(std::span(&call, 1), place(Base::constants));
}

Status Compiler::pack_constants(const PackedConstants& call, const Constants& constants,
                                std::span<std::byte> packed) const {
  if (call.layer.kind == Kind::max_pooling) return {};
  if (Status valid = check_constants(call.layer, constants); !valid) return valid;
  for (const auto& part : call.parts) {
    const auto bytes = static_cast<std::uint64_t>(part.layout.bytes);
    if (part.offset + bytes > packed.size()) {
      return failure("the constants need " + std::to_string(part.offset + bytes) + " bytes, there are " +
                     std::to_string(packed.size()));
    }
    pack(config_, call.layer, part.pass, part.layout, constants, packed.subspan(part.offset, bytes));
  }
  return {};
}

}  // namespace cosoc::conv2d
