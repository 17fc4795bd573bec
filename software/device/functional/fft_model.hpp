/// Functional model of the FFT accelerator.
#pragma once

#include "cosoc/generated/fft.hpp"
#include "device/functional/functional_model.hpp"

namespace cosoc {

class FFTModel final : public FunctionalModel {
 public:
  explicit FFTModel(const fft::Config& config) : config_(config) {}
  Execution execute(const CommandWords& words, CommandMemory& memory) override;

 private:
  ErrorCode check(const fft::Command& command) const;

  fft::Config config_;
};

}  // namespace cosoc
