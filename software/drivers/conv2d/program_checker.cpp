#include "drivers/conv2d/program_checker.hpp"

#include <algorithm>
#include <utility>

namespace cosoc::conv2d {
namespace {

using isa::Unit;

constexpr std::array<std::string_view, 4> unit_names = {"LOAD", "WEIGHTS", "COMPUTE", "STORE"};
constexpr std::array<std::string_view, 4> wait_names = {"wait_load", "wait_weights", "wait_compute", "wait_store"};

constexpr std::size_t index_of(Unit unit) { return static_cast<std::size_t>(unit); }

void join(std::array<std::uint32_t, 4>& counts, const std::array<std::uint32_t, 4>& more) {
  for (std::size_t i = 0; i < counts.size(); ++i) counts[i] = std::max(counts[i], more[i]);
}

}  // namespace

ProgramChecker::ProgramChecker(const Config& config)
    : config_(config),
      extents_(config),
      features_{"the feature buffer", std::vector<Use>(config.feature_words)},
      weights_{"the weight buffer", std::vector<Use>(config.weight_steps)},
      channels_{"the channel buffer", std::vector<Use>(config.channel_blocks)},
      micro_(isa::micro_operations),
      micro_command_(isa::micro_operations),
      micro_reader_(isa::micro_operations) {}

Status ProgramChecker::check(const Command& command, std::span<const std::uint32_t> program) {
  if (program.size() != std::size_t{command.instruction_count} * isa::instruction_words) {
    return failure("the command has " + std::to_string(command.instruction_count) + " instructions, its program " +
                   std::to_string(program.size()) + " words; an instruction has " +
                   std::to_string(isa::instruction_words));
  }
  command_ = command;
  ++commands_;
  geometry_.reset();
  output_.reset();
  has_computed_ = false;
  for (index_ = 0; index_ < command.instruction_count; ++index_) {
    const auto words = program.subspan(index_ * isa::instruction_words).first<isa::instruction_words>();
    const auto instruction = decode(config_, words);
    if (!instruction) {
      return failure("instruction " + std::to_string(index_) + " with opcode " + std::to_string(words[0] & 0xF) + ": " +
                     std::string(describe(static_cast<std::uint32_t>(instruction.error()))));
    }
    begin(*instruction);
    std::visit([&](const auto& fields) { visit(fields); }, *instruction);
    end(*instruction);
    if (problem_) return failure(*problem_);
  }
  return {};
}

void ProgramChecker::complete() { started_.fill(counts_); }

/// Finds what is certainly finished when the instruction starts.
void ProgramChecker::begin(const Instruction& instruction) {
  name_ = name_of(instruction);
  unit_ = unit_of(instruction);
  number_ = counts_[index_of(unit_)] + 1;
  known_ = started_[index_of(unit_)];
  const auto waits = std::visit(
      [](const auto& fields) {
        return Counts{fields.wait_load, fields.wait_weights, fields.wait_compute, fields.wait_store};
      },
      instruction);
  for (std::size_t unit = 0; unit < units; ++unit) {
    if (waits[unit] == isa::no_wait || waits[unit] >= counts_[unit]) continue;
    const std::uint32_t finished = counts_[unit] - waits[unit];
    known_[unit] = std::max(known_[unit], finished);
    join(known_, history_[unit][finished - 1]);
  }
  started_[index_of(unit_)] = known_;
}

void ProgramChecker::end(const Instruction& instruction) {
  if (!is_counted(instruction)) return;
  history_[index_of(unit_)].push_back(known_);
  ++counts_[index_of(unit_)];
}

void ProgramChecker::problem(const std::string& message) {
  if (!problem_) problem_ = "instruction " + std::to_string(index_) + " (" + std::string(name_) + ") " + message;
}

void ProgramChecker::unprotected(std::string_view action, std::string_view place, std::uint64_t address,
                                 std::string_view other_action, Unit unit, std::uint32_t number) {
  if (problem_) return;
  const std::string what = std::string(action) + " word " + std::to_string(address) + " of " + std::string(place);
  if (unit == unit_ && number == number_) return problem(what + ", which it also " + std::string(other_action));
  const std::uint32_t distance = counts_[index_of(unit)] - number;
  problem(what + ", while instruction " + std::to_string(number) + " of unit " +
          std::string(unit_names[index_of(unit)]) + " may not have finished, which " + std::string(other_action) +
          " it: needs " + std::string(wait_names[index_of(unit)]) + " of at most " + std::to_string(distance));
}

bool ProgramChecker::is_ordered_write_after_write(const Use& use, std::uint32_t bytes) const {
  if (use.writer_unit != unit_) return false;
  if ((use.bytes & bytes) == 0) return true;
  if (unit_ == Unit::compute) return true;
  if (use.writer == number_) return false;
  return unit_ == Unit::weights || config_.memory_ports == 1;
}

void ProgramChecker::read(Use& use, std::string_view place, std::uint64_t address) {
  if (use.writer != 0 && !is_finished(use.writer_unit, use.writer)) {
    unprotected("reads", place, address, "writes", use.writer_unit, use.writer);
  }
  use.readers[index_of(unit_)] = number_;
}

void ProgramChecker::write(Use& use, std::string_view place, std::uint64_t address, std::uint32_t bytes) {
  const bool finished = use.writer == 0 || is_finished(use.writer_unit, use.writer);
  if (!finished && !is_ordered_write_after_write(use, bytes)) {
    unprotected("writes", place, address, "writes", use.writer_unit, use.writer);
  }
  for (std::size_t i = 0; i < units; ++i) {
    const auto unit = static_cast<Unit>(i);
    const bool ordered = unit == unit_ && use.readers[i] < number_;
    if (!ordered && !is_finished(unit, use.readers[i])) {
      unprotected("writes", place, address, "reads", unit, use.readers[i]);
    }
  }
  const std::uint32_t unfinished = finished ? 0 : use.bytes;
  use = {.writer = number_, .writer_unit = unit_, .written = true, .readers = {}, .bytes = unfinished | bytes};
}

void ProgramChecker::read(Buffer& buffer, std::uint64_t address) {
  const std::uint64_t word = address % buffer.words.size();
  if (!buffer.words[word].written) {
    problem("reads word " + std::to_string(word) + " of " + std::string(buffer.name) + ", which nothing has written");
  }
  read(buffer.words[word], buffer.name, word);
}

void ProgramChecker::write(Buffer& buffer, std::uint64_t address, std::uint32_t bytes) {
  const std::uint64_t word = address % buffer.words.size();
  write(buffer.words[word], buffer.name, word, bytes);
}

ProgramChecker::Use& ProgramChecker::memory_word(std::uint64_t address) {
  const std::uint64_t word = address / word_bytes;
  auto& page = memory_[word / page_words];
  if (!page) page = std::make_unique<Page>();
  return (*page)[word % page_words];
}

void ProgramChecker::read_memory(std::uint64_t address, std::uint64_t bytes) {
  for (std::uint64_t i = 0; i < bytes; i += word_bytes) {
    read(memory_word(address + i), "memory", (address + i) / word_bytes);
  }
}

void ProgramChecker::write_memory(std::uint64_t address, std::uint64_t bytes) {
  for (std::uint64_t i = 0; i < bytes; i += word_bytes) {
    write(memory_word(address + i), "memory", (address + i) / word_bytes, all_bytes);
  }
}

}  // namespace cosoc::conv2d
