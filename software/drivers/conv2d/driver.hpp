/// Driver of the Conv2D engine: compiles each call for the accelerator's parameters when it is first met.
#pragma once

#include <list>
#include <memory>
#include <mutex>

#include "drivers/conv2d/compiler.hpp"
#include "drivers/conv2d/operation_calls.hpp"
#include "drivers/driver.hpp"

namespace cosoc::conv2d {

class Conv2DDriver final : public Driver {
 public:
  /// Calls of which programs are kept; the oldest is compiled again when it comes back.
  static constexpr std::size_t max_met = 4096;

  static Result<std::unique_ptr<Driver>> open(Device& device, DeviceMemory& memory);
  ~Conv2DDriver() override;

  Status supports(const Kernel& kernel, std::span<const TensorType> inputs,
                  std::span<const TensorType> outputs) const override;
  std::uint64_t estimate_cycles(const Kernel& kernel, std::span<const TensorType> inputs,
                                std::span<const TensorType> outputs) const override;
  /// Calls compiled so far, also those that cannot be; from any thread.
  std::uint64_t compilations() const;

 protected:
  void release_kept(const DeviceMemory& kept) override;
  Result<std::vector<CommandWords>> commands(const Kernel& kernel, std::span<const TensorView> inputs,
                                             std::span<const TensorView> outputs) override;

 private:
  /// The program of a call.
  struct Compiled {
    Program program;
    std::vector<Operand> tensors;       // see OperationCalls
    std::uint64_t temporary_bytes = 0;  // that the program uses
  };
  /// A call that was met, and its program or why there is none.
  struct Met {
    Operations operations;
    std::shared_ptr<const Result<Compiled>> compiled;
  };
  /// A program with its constants in device memory: constants, then instructions, then temporaries.
  struct Loaded {
    DeviceMemory* memory;  // where it lies
    Operations operations;
    std::vector<Block> sources;  // allocations that the constants were packed from
    Block block;
    std::uint64_t instruction_offset = 0;
    std::uint64_t temporary_offset = 0;
  };

  using Driver::Driver;

  /// The dtype of feature maps that this accelerator was built for.
  DType activation() const { return config_.activation_bits == 16 ? DType::int16 : DType::int8; }
  Result<Compiled> compile(const Operations& operations) const;
  /// From any thread; others are not kept while one compiles.
  std::shared_ptr<const Result<Compiled>> compiled(const Operations& operations) const;
  Result<const Loaded*> load(const Operations& operations, const Compiled& compiled,
                             std::span<const TensorView> inputs);
  Status fill(const Loaded& loaded, const Program& program, std::span<const TensorView> inputs) const;
  Status fill_constants(const Operation& operation, const PackedConstants& call, std::span<const TensorView> inputs,
                        std::span<std::byte> packed) const;
  /// Gives back programs whose model was unloaded.
  void release_unused();
  /// Room for a program; those of the same application that were loaded first make room.
  Result<Block> allocate(std::size_t bytes);

  Config config_{};
  mutable std::mutex met_mutex_;
  mutable std::list<Met> met_;  // the oldest first
  mutable std::uint64_t compilations_ = 0;
  std::list<Loaded> loaded_;
};

}  // namespace cosoc::conv2d
