/// Instruction streams of the Conv2D engine: who waits for whom, and in which order the units get their instructions.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <vector>

#include "cosoc/generated/conv2d.hpp"

namespace cosoc::conv2d {

inline constexpr std::size_t unit_count = 4;

/// What instructions read and write; the tensors of base register b are `tensors + b`.
enum class Memory : std::uint32_t { features, weights, channels, micro, tensors };

/// A part of a memory: words, steps, blocks, entries, or bytes from a base register, begin <= x < end.
struct Interval {
  std::uint32_t memory = 0;
  std::uint64_t begin = 0;
  std::uint64_t end = 0;
};

inline Interval tensor_bytes(std::uint32_t base, std::uint64_t begin, std::uint64_t end) {
  return {static_cast<std::uint32_t>(Memory::tensors) + base, begin, end};
}

/// What an instruction touches and how long its unit works on it.
struct Effect {
  std::vector<Interval> reads;
  std::vector<Interval> writes;
  double cycles = 1;
  bool beside_own_writes = false;  // it writes nothing that its unit's instructions wrote there since others used it
};

/// Takes instructions in an order that would be right if each finished before the next began, and makes a stream of
/// them. Every instruction gets waits for all earlier ones that touch the same data, and a place in the stream by the
/// time at which it can begin: so loads go before the computations that they can overlap with.
///
/// The first instruction of each unit also waits for everything that stood before the program.
class Assembler {
 public:
  explicit Assembler(const Config& config);

  /// Adds an instruction, whose wait fields do not matter.
  /// Returns the estimated cycle at which it is finished.
  template <class Instruction>
  double emit(const Instruction& instruction, const Effect& effect) {
    constexpr auto opcode = Instruction::opcode;
    constexpr bool counted =
        opcode != isa::Opcode::micro && opcode != isa::Opcode::geometry && opcode != isa::Opcode::output;
    return add({Instruction::unit, counted, instruction.encode(), {}, 0}, effect);
  }

  /// The estimated cycle at which a unit can take another instruction.
  double free_at(isa::Unit unit) const { return free_[static_cast<std::size_t>(unit)]; }

  /// The words of the stream, `isa::instruction_words` for each instruction.
  std::vector<std::uint32_t> finish() const;

 private:
  /// Counted instructions of each unit, from 1; 0 is none.
  using Numbers = std::array<std::uint32_t, unit_count>;

  /// The last accesses to a part of a memory.
  struct Accesses {
    Numbers readers{};
    isa::Unit writer = isa::Unit::load;
    std::uint32_t write = 0;
  };

  struct Entry {
    isa::Unit unit;
    bool counted;
    std::array<std::uint32_t, isa::instruction_words> words;
    Numbers after;  // of each unit, the last instruction that must be finished before this one starts
    double start;
  };

  /// Parts of a memory by their beginning; each ends where the next one begins.
  using History = std::map<std::uint64_t, Accesses>;

  double add(Entry entry, const Effect& effect);
  void wait_for_writers(Entry& entry, const Interval& read);
  void wait_for_all(Entry& entry, const Interval& write, bool beside_own_writes);
  /// The history split at the interval's ends: the part that begins with it.
  History::iterator isolate(const Interval& interval);

  double latency_[unit_count];
  std::vector<History> histories_;
  std::vector<Entry> entries_;
  std::array<std::vector<double>, unit_count> finished_;  // of each counted instruction
  std::array<double, unit_count> free_{};
};

}  // namespace cosoc::conv2d
