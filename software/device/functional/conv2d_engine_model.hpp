/// Functional model of the Conv2D engine.
#pragma once

#include <functional>

#include "device/functional/conv2d_machine.hpp"

namespace cosoc::conv2d_engine {

/// Cycles in which the array of an idle engine works on a program, when nothing waits.
std::uint64_t array_cycles(const Config& config, std::span<const std::uint32_t> program);

class Model final : public FunctionalModel {
 public:
  /// Duration in cycles of a program, given as the encoded instructions that were executed.
  using Duration = std::function<std::uint64_t(const Config& config, std::span<const std::uint32_t> program)>;

  explicit Model(const Config& config, Duration duration = array_cycles)
      : machine_(config), duration_(std::move(duration)) {}
  Execution execute(const CommandWords& words, CommandMemory& memory) override;

 private:
  Machine machine_;
  Duration duration_;
};

}  // namespace cosoc::conv2d_engine
