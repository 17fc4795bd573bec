/// Driver of the Conv2D engine: compiles each layer for the accelerator's parameters when it is first met.
#pragma once

#include <list>

#include "drivers/conv2d/compiler.hpp"
#include "drivers/conv2d/operation.hpp"
#include "drivers/driver.hpp"

namespace cosoc::conv2d {

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
  /// A layer that was met, and its program or why there is none.
  struct Compiled {
    Layer layer;
    Result<Program> program;
  };
  /// A program with its constants in device memory: constants, then instructions.
  struct Loaded {
    Operation operation;
    std::vector<Block> sources;  // allocations that the constants were packed from
    Block block;
    std::uint64_t instruction_offset = 0;
  };

  using Driver::Driver;

  /// The dtype of feature maps that this accelerator was built for.
  DType activation() const { return config_.activation_bits == 16 ? DType::int16 : DType::int8; }
  const Result<Program>& program(const Layer& layer) const;
  Result<const Loaded*> load(const Operation& operation, const Program& program, std::span<const TensorView> inputs);
  Status fill(const Loaded& loaded, const Program& program, std::span<const TensorView> inputs) const;
  /// Gives back programs whose model was unloaded.
  void release_unused();

  Config config_{};
  mutable std::list<Compiled> compiled_;
  std::list<Loaded> loaded_;
};

}  // namespace cosoc::conv2d
