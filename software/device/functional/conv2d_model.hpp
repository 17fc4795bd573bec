/// Functional model of the Conv2D accelerator.
#pragma once

#include <vector>

#include "cosoc/generated/conv2d.hpp"
#include "device/functional/functional_model.hpp"
#include "kernels/patches.hpp"

namespace cosoc {

class Conv2DModel final : public FunctionalModel {
 public:
  explicit Conv2DModel(const conv2d::Config& config);
  Execution execute(const CommandWords& words, CommandMemory& memory) override;

 private:
  ErrorCode check(const conv2d::Command& command) const;
  bool load_tile(const conv2d::Command& command, CommandMemory& memory);
  bool load_weights(const conv2d::Command& command, CommandMemory& memory);
  /// Sums of all pixels and channels into `sums_`.
  void convolve(const conv2d::Command& command);
  void accumulate(const conv2d::Command& command);
  void keep_partial(const conv2d::Command& command);
  void store(const conv2d::Command& command, CommandMemory& memory) const;

  conv2d::Config config_;
  std::vector<std::int8_t> tile_;      // [row][column][in_words * 16]
  std::vector<std::int16_t> weights_;  // [out_blocks * lanes][steps * 16]
  std::vector<std::int32_t> sums_;     // [pixel][out_blocks * lanes]
  std::vector<std::int32_t> partial_;  // [block * pixels + pixel][lane], as the hardware keeps them
};

}  // namespace cosoc
