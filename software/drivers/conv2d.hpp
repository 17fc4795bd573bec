/// Driver of the Conv2D accelerator: operation `conv2d` without groups and dilation.
#pragma once

#include <map>

#include "cosoc/generated/conv2d.hpp"
#include "drivers/conv2d_tiling.hpp"
#include "drivers/driver.hpp"

namespace cosoc {

class Conv2DDriver final : public Driver {
 public:
  static Result<std::unique_ptr<Driver>> open(Device& device, DeviceMemory& memory);
  ~Conv2DDriver() override;

  Status supports(const Kernel& kernel, std::span<const TensorType> inputs,
                  std::span<const TensorType> outputs) const override;
  std::uint64_t estimate_cycles(const Kernel& kernel, std::span<const TensorType> inputs,
                                std::span<const TensorType> outputs) const override;

 protected:
  Result<std::vector<CommandWords>> commands(const Kernel& kernel, std::span<const TensorView> inputs,
                                             std::span<const TensorView> outputs) override;

 private:
  /// What packed constants were made from: the allocations and places of weight, bias and multiplier, and the words of
  /// a part.
  using PackedKey = std::array<std::uint64_t, 7>;
  struct Packed {
    std::array<Block, 3> sources;
    Block block;
  };

  using Driver::Driver;

  /// The packed constants of a call, made when they are not there yet.
  Result<Block> packed_constants(std::span<const TensorView> inputs, std::size_t part_words);
  /// Gives back packed copies of constants whose model was unloaded, or all of them.
  void release_packed(bool all);

  conv2d::Config config_{};
  std::map<PackedKey, Packed> packed_;
};

}  // namespace cosoc
