/// Functional model of the Conv2D engine: a machine behind a command's words, with durations.
#pragma once

#include "drivers/conv2d/machine.hpp"

namespace cosoc::conv2d {

class Conv2DModel final : public FunctionalModel {
 public:
  explicit Conv2DModel(const Config& config) : machine_(config) {}
  Execution execute(const CommandWords& words, CommandMemory& memory) override;

 private:
  Machine machine_;
};

}  // namespace cosoc::conv2d
