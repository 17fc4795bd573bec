/// Driver of the FFT accelerator: operation `fft` of the lengths that it was built for, `rfft` and `fft_multiply` if it
/// was built with them.
#pragma once

#include "cosoc/generated/fft.hpp"
#include "drivers/driver.hpp"

namespace cosoc::fft {

class FFTDriver final : public Driver {
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

  Config config_{};
};

}  // namespace cosoc::fft
