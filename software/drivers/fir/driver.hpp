/// Driver of the FIR accelerator: operation `fir`; a filter with more taps than multipliers takes several commands.
#pragma once

#include "cosoc/generated/fir.hpp"
#include "drivers/driver.hpp"

namespace cosoc::fir {

class FIRDriver final : public Driver {
 public:
  static Result<std::unique_ptr<Driver>> open(Device& device, DeviceMemory& memory);

  Status supports(const Kernel& kernel, std::span<const TensorType> inputs,
                  std::span<const TensorType> outputs) const override;
  std::uint64_t estimate_cycles(const Kernel& kernel, std::span<const TensorType> inputs,
                                std::span<const TensorType> outputs) const override;

 protected:
  Result<std::vector<CommandWords>> commands(const Kernel& kernel, std::span<const TensorView> inputs,
                                             std::span<const TensorView> outputs) override;

 private:
  using Driver::Driver;

  /// Commands of a call, with addresses relative to each tensor.
  std::vector<Command> split(const Kernel& kernel, const TensorType& samples, const TensorType& taps,
                             const TensorType& results) const;

  Config config_{};
};

}  // namespace cosoc::fir
