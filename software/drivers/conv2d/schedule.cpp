#include "drivers/conv2d/schedule.hpp"

#include <algorithm>

#include "drivers/conv2d/simulation.hpp"

namespace cosoc::conv2d {
namespace {

constexpr std::size_t instructions_per_burst = 8;
constexpr std::size_t bursts_fetched_ahead = 32;

// Latencies of the gateware in cycles, without those of the memory.
constexpr double fetch_latency = 21;      // start of the command to the address of its first instruction
constexpr double dispatch_latency = 8;    // second beat of an instruction to its start
constexpr double dispatch_cycles = 2;     // an instruction's beats
constexpr std::size_t queue_limit = 13;   // instructions of a unit, seen late, up to which the dispatcher adds one
constexpr double entry_latency = 7;       // from an instruction that is dispatched to the dispatcher that sees it
constexpr double exit_latency = 10;       // likewise from one that starts
constexpr std::size_t loads_waiting = 2;  // for the ports to take their parts
constexpr std::array<std::size_t, units> in_flight = {0, 6, 1, 18};  // instructions that other units move data for
constexpr double loaded_latency = 5;                                 // last beat taken to the end of a LOAD
constexpr double weighted_latency = 3;                               // likewise of WEIGHTS and CHANNELS
constexpr double stored_latency = 3;                                 // response to the end of a STORE
constexpr double completion_latency = 14;  // end of the last instruction to the completion's response

constexpr double walked_ahead = 32;  // store engines go before loaders: so far their words are known

}  // namespace

Simulation::Simulation(const Config& config, std::span<const std::uint32_t> program, double memory_latency)
    : config_(config),
      instructions_(decode_stream(program)),
      memory_(memory_latency, 128.0 / config.memory_port_bits),
      banks_(config),
      parts_(instructions_.size()),
      work_(array_work(config, instructions_)) {
  for (std::size_t port = 0; port < config.memory_ports; ++port) {
    reads_.emplace_back(memory_, banks_, starved_, port);
    writes_.emplace_back(memory_, banks_, blocked_, port);
  }
  now_ = memory_latency + fetch_latency;
  for (const ArrayWork& work : work_) array_left_ += work.array_cycles();
  beats_[SharedMemory::read] = 2 * instructions_.size();
  for (const StreamInstruction& instruction : instructions_) {
    beats_[instruction.unit == Unit::store ? SharedMemory::write : SharedMemory::read] += beats_of(instruction);
  }
}

/// What the program takes at least: the array goes on without a gap, ports move a beat in each cycle.
double Simulation::least_cycles() const {
  const double array = std::max(now_, array_free_) + static_cast<double>(array_left_);
  const std::uint64_t reads = beats_[SharedMemory::read] - memory_.beats_read();
  const std::uint64_t writes = beats_[SharedMemory::write] - memory_.beats_written();
  const double beats = static_cast<double>(std::max(reads, writes)) / config_.memory_ports * memory_.beat_cycles();
  return std::max(array, now_ + beats) + memory_.latency() + completion_latency;
}

Schedule Simulation::run(double limit) {
  while (true) {
    fetch();
    bool progress = true;
    while (progress) {
      progress = complete();
      progress |= dispatch();
      for (std::size_t unit = 0; unit < units; ++unit) progress |= release(static_cast<Unit>(unit));
      progress |= give_loads();
      progress |= move();
    }
    const double next = next_event();
    if (next == never) break;
    now_ = next;
    if (least_cycles() >= limit) return {.cycles = limit};
  }
  return {.cycles = now_ + memory_.latency() + completion_latency,
          .beats_read = memory_.beats_read(),
          .beats_written = memory_.beats_written(),
          .starved = starved_.total(),
          .blocked = blocked_.total()};
}

/// Asks for instructions as far ahead as the reader's buffer allows.
void Simulation::fetch() {
  while (fetched_ < instructions_.size() && fetched_ < next_ + bursts_fetched_ahead * instructions_per_burst) {
    const std::size_t count = std::min(instructions_per_burst, instructions_.size() - fetched_);
    reads_[0].push(ReadPort::instructions, {.at = now_, .transfers = 1, .beats = 2 * count, .address = 2 * fetched_});
    fetched_ += count;
  }
}

bool Simulation::dispatch() {
  if (next_ == arrivals_.size() || std::max(dispatch_free_, arrivals_[next_]) > now_) return false;
  Queue& own = queue(instructions_[next_].unit);
  if (!may_enter(own)) return false;
  own.instructions.push_back(next_);
  own.entries.push_back(now_ + entry_latency);
  ++next_;
  dispatch_free_ = now_ + dispatch_cycles;
  hungry_since_ = now_ + dispatch_cycles - dispatch_latency;
  return true;
}

/// The dispatcher sees a place in a unit's queue.
bool Simulation::may_enter(Queue& queue) const {
  for (; !queue.entries.empty() && queue.entries.front() <= now_; queue.entries.pop_front()) ++queue.seen;
  for (; !queue.exits.empty() && queue.exits.front() <= now_; queue.exits.pop_front()) --queue.seen;
  return queue.seen <= queue_limit;
}

/// Gives the unit its next instruction when it may start.
bool Simulation::release(Unit unit) {
  Queue& own = queue(unit);
  if (own.instructions.empty() || own.free_at > now_ || !has_room(unit)) return false;
  const std::size_t index = own.instructions.front();
  for (std::size_t other = 0; other < units; ++other) {
    if (queues_[other].finished < instructions_[index].targets[other]) return false;
  }
  own.instructions.pop_front();
  own.exits.push_back(now_ + exit_latency);
  own.free_at = now_ + release_cycles;
  start(index);
  return true;
}

/// The unit can take another instruction.
bool Simulation::has_room(Unit unit) const {
  if (unit == Unit::load) return loads_.size() < loads_waiting;
  return queue(unit).flying < in_flight[static_cast<std::size_t>(unit)];
}

/// Lets bursts move whose time has come.
bool Simulation::move() {
  bool any = false;
  memory_.advance(now_);
  for (WritePort& port : writes_) port.walk(now_ + walked_ahead);
  for (ReadPort& port : reads_) {
    while (const auto loaded = port.load(now_)) {
      end_part(loaded->burst, loaded_latency);
      any = true;
    }
    if (port.next() > now_) continue;
    any = true;
    const auto received = port.advance(now_);
    if (!received) continue;
    const auto& [reader, burst] = *received;
    if (reader == ReadPort::instructions) {
      if (next_ == arrivals_.size()) starved_.add(std::max(hungry_since_, burst.asked - beat_latency), burst.begin);
      for (std::uint64_t beat = 2; beat <= burst.beats; beat += 2) {
        arrivals_.push_back(burst.begin + static_cast<double>(beat - 1) * memory_.beat_cycles() + 1 + dispatch_latency);
      }
    } else {
      end_part(burst, weighted_latency);
    }
  }
  for (WritePort& port : writes_) {
    if (port.next() > now_) continue;
    any = true;
    if (const auto burst = port.serve(now_)) end_part(*burst, stored_latency);
  }
  return any;
}

void Simulation::end_part(const Burst& burst, double latency) {
  if (!burst.last) return;
  Parts& parts = parts_[burst.instruction];
  parts.done = std::max(parts.done, burst.done);
  if (--parts.count == 0) completions_.push({parts.done + latency + wait_latency, burst.instruction});
}

bool Simulation::complete() {
  bool any = false;
  while (!completions_.empty() && completions_.top().time <= now_) {
    Queue& own = queue(instructions_[completions_.top().instruction].unit);
    ++own.finished;
    if (own.flying > 0) --own.flying;
    completions_.pop();
    any = true;
  }
  return any;
}

double Simulation::next_event() const {
  double next = completions_.empty() ? never : completions_.top().time;
  const auto consider = [&](double time) {
    if (time > now_) next = std::min(next, time);
  };
  if (next_ < arrivals_.size()) {
    consider(std::max(dispatch_free_, arrivals_[next_]));
    const Queue& waiting = queue(instructions_[next_].unit);
    if (!waiting.exits.empty()) consider(waiting.exits.front());
  }
  for (const Queue& each : queues_) {
    if (!each.instructions.empty()) consider(each.free_at);
  }
  for (std::size_t port = 0; port < reads_.size(); ++port) {
    consider(reads_[port].next());
    if (!loads_.empty() && !loads_.front().taken[port]) consider(next_given(port));
  }
  for (const WritePort& port : writes_) consider(port.next());
  return next;
}

Schedule schedule(const Config& config, std::span<const std::uint32_t> program, double memory_latency, double limit) {
  return Simulation(config, program, memory_latency).run(limit);
}

}  // namespace cosoc::conv2d
