/// Functional model of the ZIP accelerator.
#pragma once

#include "cosoc/generated/zip.hpp"
#include "device/functional/functional_model.hpp"

namespace cosoc::zip {

class ZIPModel final : public FunctionalModel {
 public:
  explicit ZIPModel(const Config& config) : config_(config) {}
  Execution execute(const CommandWords& words, CommandMemory& memory) override;

 private:
  Config config_;
};

}  // namespace cosoc::zip
