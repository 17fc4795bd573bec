/// Functional model of the Conv2D engine: a machine behind a command's words, with durations.
#pragma once

#include "device/functional/conv2d_machine.hpp"

namespace cosoc::conv2d {

class Model final : public FunctionalModel {
 public:
  explicit Model(const Config& config) : machine_(config) {}
  Execution execute(const CommandWords& words, CommandMemory& memory) override;

 private:
  Machine machine_;
};

}  // namespace cosoc::conv2d
