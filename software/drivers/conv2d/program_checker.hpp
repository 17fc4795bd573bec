/// Tells whether the waits of Conv2D programs protect what their instructions read and write.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "device/result.hpp"
#include "drivers/conv2d/program.hpp"

namespace cosoc::conv2d {

/// The rules that `Machine` and the hardware cannot check:
///
/// - An instruction that reads what another one wrote, or writes what another one reads or writes, starts only after
///   that one is certainly finished: by its waits, or by those of instructions that it waits for or that its unit
///   started before it. This holds for the feature, weight and channel buffers, for micro-programs and for memory.
/// - Nothing is read from a buffer that was never written. A command sets all settings and micro-operations that its
///   COMPUTEs use, without contradictions.
/// - The pixel lanes that read in one cycle read from different banks.
///
/// LOADs may write different channels of one word at the same time.
///
/// Each unit works in order, so that a COMPUTE may overwrite results and operands of an earlier one without a wait; but
/// the rows of a tile come in any order when there are two memory ports, and a COMPUTE that reads results of an earlier
/// one must wait for it.
///
/// A tool for tests and debugging: it visits every word that an instruction touches.
class ProgramChecker {
 public:
  explicit ProgramChecker(const Config& config);

  /// Checks a command's program, given as encoded instructions, after those before it. The error names the instruction,
  /// what is wrong and the wait that is missing; the checker is of no use after it.
  Status check(const Command& command, std::span<const std::uint32_t> program);

  /// All commands before are complete, as a driver knows that waited for them.
  void complete();

 private:
  static constexpr std::size_t units = 4;
  static constexpr std::uint32_t all_bytes = (1U << word_bytes) - 1;
  /// For each unit, a number of its counted instructions, from the stream's begin.
  using Counts = std::array<std::uint32_t, units>;

  /// Which instructions used a word last. Numbers count from one.
  struct Use {
    std::uint32_t writer = 0;  // number of the last one that wrote
    isa::Unit writer_unit = isa::Unit::load;
    bool written = false;
    Counts readers{};         // last ones that read after the last write
    std::uint32_t bytes = 0;  // a bit for each that the last ones wrote, whose writes may not be finished
  };
  struct Buffer {
    std::string_view name;
    std::vector<Use> words;
  };
  static constexpr std::size_t page_words = 256;
  using Page = std::array<Use, page_words>;

  void begin(const Instruction& instruction);
  void end(const Instruction& instruction);
  void visit(const isa::Load& load);
  void visit(const isa::Weights& weights);
  void visit(const isa::Channels& channels);
  void visit(const isa::Micro& micro);
  void visit(const isa::Geometry& geometry) { geometry_ = geometry; }
  void visit(const isa::Output& output) { output_ = output; }
  void visit(const isa::Compute& compute);
  void visit(const isa::Store& store);

  /// Checks what COMPUTE uses besides buffers; returns its micro-program.
  std::vector<MicroOperation> settings_of(const isa::Compute& compute);
  /// Checks what holds of a COMPUTE with `window` alone.
  void check_window(const isa::Compute& compute, const std::vector<MicroOperation>& program);
  void check_banks(const isa::Compute& compute, const PixelWalk& walk, const std::vector<MicroOperation>& program);
  void read_operands(const isa::Compute& compute, const PixelWalk& walk, const std::vector<MicroOperation>& program);
  void write_results(const isa::Compute& compute, const PixelWalk& walk);
  void write_folded(const isa::Load& load);

  void read(Buffer& buffer, std::uint64_t address);
  void write(Buffer& buffer, std::uint64_t address, std::uint32_t bytes = all_bytes);
  void read_memory(std::uint64_t address, std::uint64_t bytes);
  void write_memory(std::uint64_t address, std::uint64_t bytes);
  Use& memory_word(std::uint64_t address);
  void read(Use& use, std::string_view place, std::uint64_t address);
  void write(Use& use, std::string_view place, std::uint64_t address, std::uint32_t bytes);
  bool is_ordered_write_after_write(const Use& use, std::uint32_t bytes) const;
  bool is_finished(isa::Unit unit, std::uint32_t number) const {
    return number <= known_[static_cast<std::size_t>(unit)];
  }
  /// A conflict with instruction `number` of `unit`.
  void unprotected(std::string_view action, std::string_view place, std::uint64_t address,
                   std::string_view other_action, isa::Unit unit, std::uint32_t number);
  void problem(const std::string& message);

  Config config_;
  Extents extents_;
  Buffer features_;
  Buffer weights_;
  Buffer channels_;
  std::unordered_map<std::uint64_t, std::unique_ptr<Page>> memory_;
  std::vector<MicroOperation> micro_;
  std::vector<std::uint32_t> micro_command_;  // number of the command that wrote an entry
  std::vector<std::uint32_t> micro_reader_;   // number of the last COMPUTE that uses an entry

  Counts counts_{};                                 // instructions before the present one
  std::array<Counts, units> started_{};             // what is finished when the last instruction of a unit started
  std::array<std::vector<Counts>, units> history_;  // the same for each counted instruction

  Command command_;
  std::uint32_t commands_ = 0;
  std::optional<isa::Geometry> geometry_;  // of this command
  std::optional<isa::Output> output_;
  bool has_computed_ = false;  // in this command

  std::size_t index_ = 0;  // of the present instruction in its program
  std::string_view name_;
  isa::Unit unit_ = isa::Unit::load;
  std::uint32_t number_ = 0;
  Counts known_{};  // certainly finished when the present instruction starts
  std::optional<std::string> problem_;
};

}  // namespace cosoc::conv2d
