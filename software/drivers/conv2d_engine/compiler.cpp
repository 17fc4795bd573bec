#include "drivers/conv2d_engine/compiler.hpp"

#include <string>

#include "device/conv2d_schedule.hpp"

namespace cosoc::conv2d_engine {
namespace {

std::string describe(const Layer& layer) {
  return std::to_string(layer.in_channels) + " channels, kernel " + std::to_string(layer.kernel.rows) + "x" +
         std::to_string(layer.kernel.columns) + ", input of " + std::to_string(layer.in.rows) + " x " +
         std::to_string(layer.in.columns) + " pixels";
}

/// A pass's fields of memory are narrower than its tensors may be.
Status check_pitches(const Pass& pass) {
  const auto check = [](const TensorShape& shape, std::int64_t row_step, std::int64_t column_step) -> Status {
    constexpr std::int64_t most_pixel = (1 << 10) - 1;
    constexpr std::int64_t most_row = (1 << 20) - 1;
    if ((shape.columns > 1 && shape.words * column_step > most_pixel) ||
        (shape.rows > 1 && shape.words * shape.columns * row_step > most_row)) {
      return failure("a feature map of " + std::to_string(shape.rows) + " x " + std::to_string(shape.columns) +
                     " pixels of " + std::to_string(shape.words) +
                     " words is too large for the Conv2D engine: at most 1023 words from one pixel to the next and "
                     "1048575 from one row to the next");
    }
    return {};
  };
  if (const Status in = check(pass.in_shape, pass.rows.in_step, pass.columns.in_step); !in) return in;
  return check(pass.out_shape, pass.rows.out_step, pass.columns.out_step);
}

}  // namespace

Result<PackedConstants::Part> Compiler::add_pass(const LayerCall& call, const Pass& pass, Place constants,
                                                 Engine& engine) const {
  if (const Status pitches = check_pitches(pass); !pitches) return tl::make_unexpected(pitches.error());
  std::optional<Tiling> best;
  ConstantLayout best_layout;
  double best_cycles = 0;
  const Places places = {call.in, call.out, call.residual, constants};
  for (const Tiling& tiling : tilings(config_, pass, call.layer.residual.has_value(), config_.feature_words)) {
    ConstantLayout layout = make_layout(config_, pass, tiling.blocks, tiling.words);
    Engine trial(config_);
    if (!generate({config_, call.layer, pass, tiling, layout, places}, trial)) continue;
    const double cycles = schedule(config_, trial.assembler.finish()).cycles;
    if (best && cycles >= best_cycles) continue;
    best = tiling;
    best_layout = std::move(layout);
    best_cycles = cycles;
  }
  if (!best) {
    return failure("a layer of " + describe(call.layer) + " does not fit a Conv2D engine with feature_words = " +
                   std::to_string(config_.feature_words) + ": build it with more");
  }
  if (!generate({config_, call.layer, pass, *best, best_layout, places}, engine)) {
    return failure("the feature buffer of " + std::to_string(config_.feature_words) + " words is too fragmented");
  }
  return PackedConstants::Part{pass, std::move(best_layout), constants.offset};
}

Result<Program> Compiler::compile(std::span<const LayerCall> calls, Place constants) const {
  Engine engine(config_);
  Program program;
  for (const LayerCall& call : calls) {
    if (const Status valid = validate(config_, call.layer); !valid) return tl::make_unexpected(valid.error());
    PackedConstants packed = {call.layer, {}};
    for (const Pass& pass : passes_of(config_, call.layer)) {
      auto part = add_pass(call, pass, {constants.base, constants.offset + program.constant_bytes}, engine);
      if (!part) return tl::make_unexpected(part.error());
      part->offset = program.constant_bytes;
      program.constant_bytes += static_cast<std::uint64_t>(part->layout.bytes);
      packed.parts.push_back(std::move(*part));
    }
    program.constants.push_back(std::move(packed));
  }
  program.instructions = engine.assembler.finish();
  program.cycles = schedule(config_, program.instructions).cycles;
  return program;
}

Result<Program> Compiler::compile(const Layer& layer) const {
  const auto place = [](Base base) { return Place{static_cast<std::uint32_t>(base), 0}; };
  const LayerCall call = {layer, place(Base::input), place(Base::output), place(Base::residual)};
  return compile(std::span(&call, 1), place(Base::constants));
}

Status Compiler::pack_constants(const PackedConstants& call, const Constants& constants,
                                std::span<std::byte> packed) const {
  if (call.layer.kind == Kind::max_pooling) return {};
  if (const Status valid = check_constants(call.layer, constants); !valid) return valid;
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

}  // namespace cosoc::conv2d_engine
