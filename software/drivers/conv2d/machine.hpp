/// The Conv2D engine as a machine that executes programs, without registers, ring and time.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "device/functional/functional_model.hpp"
#include "drivers/conv2d/program.hpp"

namespace cosoc::conv2d {

/// Executes the instructions of a program one after the other, in the order of the stream. The units of the hardware
/// run side by side; a program whose waits are right has the same results, bit for bit. `ProgramChecker` tells whether
/// they are right.
///
/// Buffers, settings and accumulators stay from command to command. What the engine leaves unspecified, such as the
/// contents after reset, is here the byte `unspecified`, so that a program that relies on it gives wrong results.
class Machine {
 public:
  static constexpr std::uint8_t unspecified = 0x55;

  explicit Machine(const Config& config);

  /// Executes a command. Returns why it was refused, or the error of the instruction that ended it: those before are
  /// executed, those after it are not. Failed transfers read zeros or write nothing; their error is in `memory`.
  ErrorCode run(const Command& command, CommandMemory& memory);

  /// The encoded instructions that the last command executed.
  std::span<const std::uint32_t> executed() const { return executed_; }
  const Config& config() const { return config_; }

 private:
  using Word = std::array<std::int8_t, word_bytes>;
  struct ChannelParameters {
    std::int64_t bias = 0;
    float multiplier = 1.0F;
  };
  struct OperandWord {  // of the micro-program of a COMPUTE
    std::uint32_t offset;
    std::int32_t row;
    std::int32_t column;
  };

  ErrorCode refusal(const Command& command) const;
  /// Up to 64 instructions from `first` on, zeros when the transfer fails.
  std::vector<std::uint32_t> fetch(const Command& command, std::uint32_t first, CommandMemory& memory) const;

  void execute(const isa::Load& load);
  void execute(const isa::Weights& weights);
  void execute(const isa::Channels& channels);
  void execute(const isa::Micro& micro);
  void execute(const isa::Geometry& geometry) { geometry_ = geometry; }
  void execute(const isa::Output& output) { output_ = output; }
  void execute(const isa::Compute& compute);
  void execute(const isa::Store& store);

  void load_folded(const isa::Load& load);
  /// Copies `size` bytes from memory, or zeros.
  std::span<const std::int8_t> read(std::uint64_t address, std::uint64_t size);

  std::vector<OperandWord> operand_words(const isa::Compute& compute) const;
  /// sums_[pixel][channel] of a block, for the pixels of whole groups.
  void multiply(const isa::Compute& compute, const PixelWalk& walk, std::span<const OperandWord> words,
                std::uint32_t block);
  /// The same in steps of three taps; leaves the accumulators unspecified.
  void multiply_windows(const isa::Compute& compute, const PixelWalk& walk, std::span<const OperandWord> words,
                        std::uint32_t block);
  void gather_weights(std::size_t first_step, std::size_t words);
  void gather_operands(const PixelWalk& walk, std::span<const OperandWord> words, std::uint32_t block_offset,
                       std::uint32_t pixel, bool has_pixel, std::int16_t* out) const;
  void accumulate(bool from_kept);
  template <class Activation>
  void write_results(const isa::Compute& compute, const PixelWalk& walk, std::uint32_t block);
  template <class Activation>
  void store_pixel(const isa::Store& store, std::uint32_t row, std::uint32_t column, std::int8_t* out) const;

  Word& feature(std::uint32_t address) { return features_[address & extents_.feature_mask]; }
  const Word& feature(std::uint32_t address) const { return features_[address & extents_.feature_mask]; }

  Config config_;
  Extents extents_;
  std::vector<Word> features_;
  std::vector<std::int8_t> weights_;  // [step][output lane][input lane]
  std::vector<ChannelParameters> channels_;
  std::vector<MicroOperation> micro_;
  std::vector<std::int64_t> accumulators_;  // [pixel lane][output lane]
  isa::Geometry geometry_{.out_columns = 1};
  isa::Output output_;

  Command command_;                  // in execution
  CommandMemory* memory_ = nullptr;  // of that command
  std::vector<std::uint32_t> executed_;

  // Kept for their storage.
  std::vector<std::int8_t> transfer_;
  std::vector<std::int16_t> weight_rows_;   // [output lane][input channel of a section]
  std::vector<std::int16_t> operand_rows_;  // [pixel of a batch][input channel of a section]
  std::vector<std::int32_t> products_;      // [pixel of a batch][output lane]
  std::vector<std::int64_t> sums_;          // [pixel][output lane]
};

}  // namespace cosoc::conv2d
