/// Functional model of the Conv2D engine: a machine behind a command's words, with durations.
#pragma once

#include <functional>

#include "device/functional/conv2d_machine.hpp"

namespace cosoc::conv2d {

/// Cycles that an idle engine takes for a program, by its schedule.
std::uint64_t scheduled_cycles(const Config& config, std::span<const std::uint32_t> program);

class Model final : public FunctionalModel {
 public:
  /// Duration in cycles of a program, given as the encoded instructions that were executed.
  using Duration = std::function<std::uint64_t(const Config& config, std::span<const std::uint32_t> program)>;

  explicit Model(const Config& config, Duration duration = scheduled_cycles)
      : machine_(config), duration_(std::move(duration)) {}
  Execution execute(const CommandWords& words, CommandMemory& memory) override;

 private:
  Machine machine_;
  Duration duration_;
};

}  // namespace cosoc::conv2d
