/// Functional model of the FIR accelerator.
#pragma once

#include "cosoc/generated/fir.hpp"
#include "device/functional/functional_model.hpp"

namespace cosoc::fir {

class FIRModel final : public FunctionalModel {
 public:
  explicit FIRModel(const Config& config) : config_(config) {}
  Execution execute(const CommandWords& words, CommandMemory& memory) override;

 private:
  ErrorCode check(const Command& command) const;

  Config config_;
};

}  // namespace cosoc::fir
