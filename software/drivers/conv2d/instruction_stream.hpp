/// A program as its units see it: who executes an instruction, and after which others.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "cosoc/generated/conv2d.hpp"

namespace cosoc::conv2d {

inline constexpr std::size_t units = 4;

struct StreamInstruction {
  isa::Opcode opcode;
  isa::Unit unit;
  bool counted;                                // waits count it
  std::array<std::uint64_t, units> targets{};  // finished instructions of each unit before it may start
  std::array<std::uint32_t, isa::instruction_words> words{};
};

/// The instructions of an encoded program that runs alone.
std::vector<StreamInstruction> decode_stream(std::span<const std::uint32_t> program);

}  // namespace cosoc::conv2d
