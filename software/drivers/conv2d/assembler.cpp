#include "drivers/conv2d/assembler.hpp"

#include <algorithm>
#include <numeric>

namespace cosoc::conv2d {
namespace {

constexpr std::size_t bases = 8;
/// A wait of this distance is the longest; a conflict farther away is covered by a nearer instruction.
constexpr std::uint32_t longest_wait = isa::no_wait - 1;

// Estimated cycles from the end of an instruction's work to an instruction that waited for it: memory and pipelines.
constexpr double load_latency = 60;
constexpr double compute_latency = 60;
constexpr double store_latency = 70;

std::size_t index_of(isa::Unit unit) { return static_cast<std::size_t>(unit); }

}  // namespace

Assembler::Assembler(const Config&)
    : latency_{load_latency, load_latency, compute_latency, store_latency},
      histories_(static_cast<std::size_t>(Memory::tensors) + bases, History{{0, Accesses{}}}) {}

Assembler::History::iterator Assembler::isolate(const Interval& interval) {
  History& history = histories_[interval.memory];
  const auto split = [&](std::uint64_t at) {
    auto next = history.lower_bound(at);
    if (next != history.end() && next->first == at) return next;
    return history.emplace_hint(next, at, std::prev(next)->second);
  };
  split(interval.end);
  return split(interval.begin);
}

void Assembler::wait_for_writers(Entry& entry, const Interval& read) {
  History& history = histories_[read.memory];
  const std::size_t unit = index_of(entry.unit);
  const auto number = static_cast<std::uint32_t>(finished_[unit].size() + 1);
  for (auto part = isolate(read); part != history.end() && part->first < read.end; ++part) {
    const Accesses& accesses = part->second;
    auto& after = entry.after[index_of(accesses.writer)];
    after = std::max(after, accesses.write);
    part->second.readers[unit] = number;
  }
}

void Assembler::wait_for_all(Entry& entry, const Interval& write, bool beside_own_writes) {
  History& history = histories_[write.memory];
  // COMPUTE reads and writes the feature buffer in order, STORE never writes a byte twice.
  const bool ordered = beside_own_writes || (write.memory != static_cast<std::uint32_t>(Memory::micro) &&
                                             (entry.unit == isa::Unit::compute || entry.unit == isa::Unit::store));
  const auto first = isolate(write);
  auto part = first;
  for (; part != history.end() && part->first < write.end; ++part) {
    Numbers numbers = part->second.readers;
    auto& writer = numbers[index_of(part->second.writer)];
    writer = std::max(writer, part->second.write);
    if (ordered) numbers[index_of(entry.unit)] = 0;
    for (std::size_t unit = 0; unit < unit_count; ++unit)
      entry.after[unit] = std::max(entry.after[unit], numbers[unit]);
  }
  history.erase(std::next(first), part);
  const auto number = entry.counted ? static_cast<std::uint32_t>(finished_[index_of(entry.unit)].size() + 1) : 0;
  first->second = {{}, entry.unit, number};
}

double Assembler::add(Entry entry, const Effect& effect) {
  const std::size_t unit = index_of(entry.unit);
  for (const Interval& read : effect.reads) wait_for_writers(entry, read);
  for (const Interval& write : effect.writes) wait_for_all(entry, write, effect.beside_own_writes);
  entry.start = free_[unit];
  for (std::size_t other = 0; other < unit_count; ++other) {
    if (entry.after[other] > 0) entry.start = std::max(entry.start, finished_[other][entry.after[other] - 1]);
  }
  free_[unit] = entry.start + effect.cycles;
  const double finished = free_[unit] + latency_[unit];
  if (entry.counted) finished_[unit].push_back(finished);
  entries_.push_back(entry);
  return finished;
}

std::vector<std::uint32_t> Assembler::finish() const {
  std::vector<std::size_t> order(entries_.size());
  std::iota(order.begin(), order.end(), 0);
  // An instruction starts after those that it waits for, so they stand before it; each unit keeps its order.
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return entries_[a].start < entries_[b].start; });
  std::vector<std::uint32_t> stream;
  stream.reserve(order.size() * isa::instruction_words);
  Numbers before{};
  std::array<bool, unit_count> started{};
  for (const std::size_t index : order) {
    const Entry& entry = entries_[index];
    const std::size_t unit = index_of(entry.unit);
    auto words = entry.words;
    words[1] = 0;
    for (std::size_t other = 0; other < unit_count; ++other) {
      std::uint32_t distance = isa::no_wait;
      if (entry.after[other] > 0 || !started[unit]) {
        distance = std::min(before[other] - entry.after[other], longest_wait);
      }
      words[1] |= distance << (8 * other);
    }
    stream.insert(stream.end(), words.begin(), words.end());
    before[unit] += entry.counted ? 1 : 0;
    started[unit] = true;
  }
  return stream;
}

}  // namespace cosoc::conv2d
