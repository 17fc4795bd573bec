/// Functional model of the FFT accelerator.
#pragma once

#include "cosoc/generated/fft.hpp"
#include "device/functional/functional_model.hpp"

namespace cosoc::fft {

class FFTModel final : public FunctionalModel {
 public:
  explicit FFTModel(const Config& config) : config_(config) {}
  Execution execute(const CommandWords& words, CommandMemory& memory) override;

 private:
  ErrorCode check(const Command& command) const;

  Config config_;
};

}  // namespace cosoc::fft
