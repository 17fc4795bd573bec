/// Driver of the ZIP accelerator: operation `zip`, or `zip_int16` in a build for int16, of any length.
#pragma once

#include "cosoc/generated/zip.hpp"
#include "drivers/driver.hpp"

namespace cosoc::zip {

class ZIPDriver final : public Driver {
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

}  // namespace cosoc::zip
