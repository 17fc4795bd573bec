/// Compiles layers into programs of the Conv2D engine.
#pragma once

#include "drivers/conv2d/generator.hpp"
#include "drivers/conv2d/schedule.hpp"

namespace cosoc::conv2d {

/// A layer and its tensors. Tensors that share memory share the base register.
struct LayerCall {
  Layer layer;
  Place in;
  Place out;
  Place residual;  // of layers that have one
  /// Only later calls of the same program read the output, at this very place: it need not be in memory afterwards.
  bool temporary = false;
};

/// Base registers of a program for one layer.
enum class Base : std::uint32_t { input, output, constants, residual };

/// The constants of one call, as a part of those of the program.
struct PackedConstants {
  struct Part {  // a pass
    Pass pass;
    ConstantLayout layout;
    std::uint64_t offset = 0;  // bytes
  };
  Layer layer;
  std::vector<Part> parts;
};

/// Instructions without addresses, and the layout of their constants.
struct Program {
  std::vector<std::uint32_t> instructions;  // words, `isa::instruction_words` for each
  std::uint64_t constant_bytes = 0;
  std::vector<PackedConstants> constants;  // of each call
  double cycles = 0;                       // estimate of the schedule

  std::uint32_t instruction_count() const {
    return static_cast<std::uint32_t>(instructions.size() / isa::instruction_words);
  }
};

class Compiler {
 public:
  /// The latency of the memory, in cycles, is for estimates.
  explicit Compiler(const Config& config, double memory_latency = default_memory_latency)
      : config_(config), memory_latency_(memory_latency) {}

  /// A program for the layers, one after the other, with the constants of all of them at one place. A result that a
  /// later layer reads stays in the feature buffer when there is room. It is stored as well; a temporary one only when
  /// it has to leave the buffer before its last reader. Fails with the layer's error, or tells which parameter of the
  /// accelerator is too small for it.
  Result<Program> compile(std::span<const LayerCall> calls, Place constants) const;

  /// A program for one layer, with the base registers of `Base`.
  Result<Program> compile(const Layer& layer) const;

  /// Fills the constants of one call in `packed`, the program's `constant_bytes`.
  Status pack_constants(const PackedConstants& call, const Constants& constants, std::span<std::byte> packed) const;

 private:
  Config config_;
  double memory_latency_;
};

}  // namespace cosoc::conv2d
