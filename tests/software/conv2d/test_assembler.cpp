/// Waits and order of the Conv2D assembler's streams.
#include <catch2/catch.hpp>

#include "drivers/conv2d/assembler.hpp"

namespace cosoc::conv2d::test {
namespace {

constexpr Config config = {8, 8, 8, 4, 4096, 1024, 64, 1, 128};

Interval words(std::uint64_t begin, std::uint64_t end) {
  return {static_cast<std::uint32_t>(Memory::features), begin, end};
}

/// Opcode and the four waits of an instruction.
struct Entry {
  isa::Opcode opcode;
  std::array<std::uint32_t, unit_count> waits;
};

std::vector<Entry> entries_of(const Assembler& assembler) {
  const std::vector<std::uint32_t> stream = assembler.finish();
  std::vector<Entry> entries;
  for (std::size_t at = 0; at < stream.size(); at += isa::instruction_words) {
    const std::uint32_t waits = stream[at + 1];
    entries.push_back({static_cast<isa::Opcode>(stream[at] & 0xF),
                       {waits & 0xFF, waits >> 8 & 0xFF, waits >> 16 & 0xFF, waits >> 24}});
  }
  return entries;
}

TEST_CASE("the Conv2D assembler waits for data and puts loads before computations that they overlap with") {
  Assembler assembler(config);
  assembler.emit(isa::Load{}, {{}, {words(0, 100)}, 50});
  assembler.emit(isa::Compute{}, {{words(0, 100)}, {words(200, 300)}, 1000});
  assembler.emit(isa::Load{}, {{}, {words(100, 200)}, 50});
  assembler.emit(isa::Compute{}, {{words(100, 200)}, {words(300, 400)}, 1000});
  assembler.emit(isa::Store{}, {{words(250, 350)}, {}, 50});
  const auto entries = entries_of(assembler);
  REQUIRE(entries.size() == 5);
  constexpr std::uint32_t none = isa::no_wait;
  // The first of each unit waits for all that stood before the program.
  CHECK(entries[0].opcode == isa::Opcode::load);
  CHECK(entries[0].waits == std::array<std::uint32_t, 4>{0, 0, 0, 0});
  CHECK(entries[1].opcode == isa::Opcode::load);
  CHECK(entries[1].waits == std::array<std::uint32_t, 4>{none, none, none, none});
  CHECK(entries[2].opcode == isa::Opcode::compute);
  CHECK(entries[2].waits == std::array<std::uint32_t, 4>{1, 0, 0, 0});
  CHECK(entries[3].opcode == isa::Opcode::compute);
  CHECK(entries[3].waits == std::array<std::uint32_t, 4>{0, none, none, none});
  CHECK(entries[4].opcode == isa::Opcode::store);
  CHECK(entries[4].waits == std::array<std::uint32_t, 4>{2, 0, 0, 0});
}

TEST_CASE("the Conv2D assembler waits before data is overwritten") {
  Assembler assembler(config);
  assembler.emit(isa::Compute{}, {{words(0, 10)}, {words(10, 20)}, 10});
  assembler.emit(isa::Compute{}, {{words(0, 10)}, {words(15, 20)}, 10});  // in order: no wait
  assembler.emit(isa::Compute{}, {{words(10, 12)}, {words(30, 40)}, 10});
  assembler.emit(isa::Load{}, {{}, {words(5, 6)}, 10});
  const auto entries = entries_of(assembler);
  REQUIRE(entries.size() == 4);
  CHECK(entries[1].waits[2] == isa::no_wait);
  // The LOAD only waits for the second COMPUTE, the third one for what the first wrote.
  std::uint32_t load_wait = 0;
  std::uint32_t compute_wait = 0;
  for (std::size_t i = 2; i < 4; ++i) {
    (entries[i].opcode == isa::Opcode::load ? load_wait : compute_wait) = entries[i].waits[2];
  }
  const bool load_first = entries[2].opcode == isa::Opcode::load;
  CHECK(load_wait == (load_first ? 0U : 1U));
  CHECK(compute_wait == 1);
}

TEST_CASE("the Conv2D assembler waits for a nearer instruction where the distance is too long") {
  Assembler assembler(config);
  assembler.emit(isa::Load{}, {{}, {words(0, 1)}, 1});
  for (std::uint64_t i = 1; i <= 300; ++i) assembler.emit(isa::Load{}, {{}, {words(i, i + 1)}, 1});
  assembler.emit(isa::Compute{}, {{}, {words(2000, 2001)}, 10000});
  assembler.emit(isa::Compute{}, {{words(0, 1)}, {words(2001, 2002)}, 10});
  const auto entries = entries_of(assembler);
  CHECK(entries.back().opcode == isa::Opcode::compute);
  CHECK(entries.back().waits[0] == 254);
}

}  // namespace
}  // namespace cosoc::conv2d::test
