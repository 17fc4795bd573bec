#include "drivers/conv2d/schedule.hpp"

#include <algorithm>
#include <deque>
#include <functional>
#include <queue>

#include "drivers/conv2d/instruction_stream.hpp"
#include "drivers/conv2d/memory_ports.hpp"

namespace cosoc::conv2d {
namespace {

using isa::Opcode;
using isa::Unit;

constexpr std::size_t instructions_per_burst = 8;
constexpr std::size_t bursts_fetched_ahead = 32;

// Latencies of the gateware in cycles, without those of the memory.
constexpr double fetch_latency = 21;     // start of the command to the address of its first instruction
constexpr double dispatch_latency = 8;   // second beat of an instruction to its start
constexpr double dispatch_cycles = 2;    // an instruction's beats
constexpr double release_cycles = 2;     // between two instructions of a unit
constexpr std::size_t queue_depth = 16;  // of each unit
constexpr std::array<std::size_t, units> in_flight = {7, 6, 1, 18};  // instructions that units move data for
constexpr double load_latency = 8;                                   // start of a LOAD to its first address on the bus
constexpr double weights_latency = 7;                                // likewise of WEIGHTS and CHANNELS
constexpr double loaded_latency = 5;                                 // last beat taken to the end of a LOAD
constexpr double weighted_latency = 3;                               // likewise of WEIGHTS and CHANNELS
constexpr double store_latency = 29;                                 // start of a STORE to the first word at the bus
constexpr double stored_latency = 3;                                 // response to the end of a STORE
constexpr double wait_latency = 2;         // end of an instruction to the start of one that waited for it
constexpr double read_latency = 6;         // a COMPUTE that is prepared to its first step
constexpr double compute_gap = 2;          // from the last step of a COMPUTE to the first of the next
constexpr double result_latency = 41;      // last step to last result in the buffer, without the slices of a group
constexpr double residual_latency = 6;     // more, with residuals
constexpr double completion_latency = 14;  // end of the last instruction to the completion's response

std::uint64_t divide_up(std::uint64_t a, std::uint64_t b) { return (a + b - 1) / b; }

/// Positions of a tile inside the windows along one axis: of every `step`-th window from number `first` on.
std::uint64_t positions(std::int64_t origin, std::int64_t stride, std::int64_t window, std::int64_t limit,
                        std::int64_t count, std::int64_t first, std::int64_t step) {
  std::uint64_t sum = 0;
  for (std::int64_t i = first; i < count; i += step) {
    const std::int64_t from = origin + i * stride;
    const std::int64_t inside = std::min(from + window, limit) - std::max<std::int64_t>(from, 0);
    sum += static_cast<std::uint64_t>(std::max<std::int64_t>(inside, 0));
  }
  return sum;
}

class Simulation {
 public:
  Simulation(const Config& config, std::span<const std::uint32_t> program, double memory_latency);

  Schedule run();

 private:
  struct Queue {
    std::deque<std::size_t> instructions;
    double free_at = 0;          // when the next one may start
    std::size_t flying = 0;      // instructions that move data
    std::uint64_t finished = 0;  // counted ones
  };
  struct Completion {
    double time;
    std::size_t instruction;
    bool operator>(const Completion& other) const { return time > other.time; }
  };
  /// What is left of an instruction at the ports.
  struct Parts {
    std::size_t count = 0;
    double done = 0;
  };

  void fetch();
  bool dispatch();
  bool release(Unit unit);
  void start(std::size_t index);
  void start_load(std::size_t index, const isa::Load& load);
  void start_weights(std::size_t index, std::uint64_t offset, std::uint64_t beats, bool all_ports);
  template <class Tile>
  PortJob job_of(std::size_t index, double at, const Tile& tile, std::size_t port, std::uint64_t rows) const;
  void start_store(std::size_t index, const isa::Store& store);
  void start_compute(std::size_t index);
  bool move();
  void end_part(const Burst& burst, double latency);
  bool complete();
  double next_event() const;
  Queue& queue(Unit unit) { return queues_[static_cast<std::size_t>(unit)]; }
  const Queue& queue(Unit unit) const { return queues_[static_cast<std::size_t>(unit)]; }
  std::uint64_t rows_of(std::size_t port, std::uint64_t rows) const {
    return (rows + config_.memory_ports - 1 - port) / config_.memory_ports;
  }

  const Config& config_;
  std::vector<StreamInstruction> instructions_;
  SharedMemory memory_;
  BufferBanks banks_;
  Waits starved_;
  Waits blocked_;
  std::vector<ReadPort> reads_;
  std::vector<WritePort> writes_;
  std::array<Queue, units> queues_;
  std::vector<Parts> parts_;  // of each instruction
  std::priority_queue<Completion, std::vector<Completion>, std::greater<>> completions_;
  double now_ = 0;
  std::size_t fetched_ = 0;       // instructions that memory was asked for
  std::vector<double> arrivals_;  // when each instruction is there
  std::size_t next_ = 0;          // to be dispatched
  double dispatch_free_ = 0;      // when the dispatcher has finished the one before
  double hungry_since_ = 0;       // when it could take another one
  double prepare_free_ = 0;       // when the latest COMPUTE has left its preparation
  double array_free_ = 0;         // when the array ends its last step
  std::vector<std::uint8_t> micro_ = std::vector<std::uint8_t>(isa::micro_operations);  // words of each entry
  isa::Geometry geometry_;
  bool residual_ = false;
};

Simulation::Simulation(const Config& config, std::span<const std::uint32_t> program, double memory_latency)
    : config_(config),
      instructions_(decode_stream(program)),
      memory_(memory_latency, 128.0 / config.memory_port_bits),
      banks_(std::max<std::size_t>(4, 2 * config.pixel_lanes)),
      parts_(instructions_.size()) {
  for (std::size_t port = 0; port < config.memory_ports; ++port) {
    reads_.emplace_back(memory_, banks_, starved_, port);
    writes_.emplace_back(memory_, banks_, blocked_, port);
  }
  now_ = memory_latency + fetch_latency;
}

Schedule Simulation::run() {
  while (true) {
    fetch();
    bool progress = true;
    while (progress) {
      progress = complete();
      progress |= dispatch();
      for (std::size_t unit = 0; unit < units; ++unit) progress |= release(static_cast<Unit>(unit));
      progress |= move();
    }
    const double next = next_event();
    if (next == never) break;
    now_ = next;
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
  auto& waiting = queue(instructions_[next_].unit).instructions;
  if (waiting.size() >= queue_depth) return false;
  waiting.push_back(next_);
  ++next_;
  dispatch_free_ = now_ + dispatch_cycles;
  hungry_since_ = now_ + dispatch_cycles - dispatch_latency;
  return true;
}

/// Gives the unit its next instruction when it may start.
bool Simulation::release(Unit unit) {
  Queue& own = queue(unit);
  if (own.instructions.empty() || own.free_at > now_ || own.flying >= in_flight[static_cast<std::size_t>(unit)])
    return false;
  const std::size_t index = own.instructions.front();
  for (std::size_t other = 0; other < units; ++other) {
    if (queues_[other].finished < instructions_[index].targets[other]) return false;
  }
  own.instructions.pop_front();
  own.free_at = now_ + release_cycles;
  start(index);
  return true;
}

void Simulation::start(std::size_t index) {
  const StreamInstruction& instruction = instructions_[index];
  const std::span<const std::uint32_t, isa::instruction_words> words(instruction.words);
  switch (instruction.opcode) {
    case Opcode::load:
      return start_load(index, isa::Load::decode(words));
    case Opcode::weights: {
      const auto weights = isa::Weights::decode(words);
      const std::uint64_t step_beats = std::uint64_t{config_.input_lanes} * config_.output_lanes / 16;
      return start_weights(index, weights.offset, weights.steps * step_beats / config_.memory_ports, true);
    }
    case Opcode::channels: {
      const auto channels = isa::Channels::decode(words);
      const std::uint64_t channel_bytes = config_.activation_bits == 8 ? 8 : 16;
      return start_weights(index, channels.offset, channels.blocks * config_.output_lanes * channel_bytes / 16, false);
    }
    case Opcode::store:
      return start_store(index, isa::Store::decode(words));
    case Opcode::compute:
      return start_compute(index);
    case Opcode::micro: {
      const auto micro = isa::Micro::decode(words);
      const std::array counts = {micro.words0, micro.words1, micro.words2, micro.words3};
      for (std::size_t i = 0; i < micro.count; ++i) micro_[(micro.address + i) % micro_.size()] = counts[i];
      queue(Unit::compute).free_at = now_ + std::max<double>(release_cycles, micro.count);
      break;
    }
    case Opcode::geometry:
      geometry_ = isa::Geometry::decode(words);
      break;
    case Opcode::output:
      residual_ = isa::Output::decode(words).residual != 0;
      break;
  }
}

/// The part of a tile that a port carries, of `rows` rows.
template <class Tile>
PortJob Simulation::job_of(std::size_t index, double at, const Tile& tile, std::size_t port, std::uint64_t rows) const {
  const bool dense = tile.pixel_pitch == tile.words;
  return {.instruction = index,
          .at = at,
          .transfers = dense ? rows : rows * tile.columns,
          .beats = dense ? std::uint64_t{tile.columns} * tile.words : tile.words,
          .address = tile.offset + std::uint64_t{tile.row_pitch} * port,
          .row_transfers = dense ? 1 : std::uint64_t{tile.columns},
          .row_step = std::uint64_t{tile.row_pitch} * config_.memory_ports,
          .transfer_step = tile.pixel_pitch,
          .planes = tile.words > 1};
}

void Simulation::start_load(std::size_t index, const isa::Load& load) {
  ++queue(Unit::load).flying;
  for (std::size_t port = 0; port < config_.memory_ports; ++port) {
    const std::uint64_t rows = rows_of(port, load.rows);
    if (rows == 0) continue;
    PortJob job = job_of(index, now_ + load_latency, load, port, rows);
    if (load.fold_channels != 0) job.own += static_cast<double>(load.fold_left + load.fold_right) / load.columns;
    ++parts_[index].count;
    reads_[port].push(0, job);
  }
}

void Simulation::start_weights(std::size_t index, std::uint64_t offset, std::uint64_t beats, bool all_ports) {
  ++queue(Unit::weights).flying;
  for (std::size_t port = 0; port < (all_ports ? config_.memory_ports : 1); ++port) {
    ++parts_[index].count;
    reads_[port].push(1, {.instruction = index,
                          .at = now_ + weights_latency,
                          .transfers = 1,
                          .beats = beats,
                          .address = offset + port * beats});
  }
}

void Simulation::start_store(std::size_t index, const isa::Store& store) {
  ++queue(Unit::store).flying;
  const auto columns = static_cast<double>(positions(store.origin_column, store.stride_columns, store.window_columns,
                                                     store.in_columns, store.columns, 0, 1));
  for (std::size_t port = 0; port < config_.memory_ports; ++port) {
    const std::uint64_t rows = rows_of(port, store.rows);
    if (rows == 0) continue;
    const auto inside =
        static_cast<double>(positions(store.origin_row, store.stride_rows, store.window_rows, store.in_rows, store.rows,
                                      static_cast<std::int64_t>(port), config_.memory_ports));
    PortJob job = job_of(index, now_ + store_latency, store, port, rows);
    job.own = std::max(1.0, inside * columns / static_cast<double>(rows * store.columns));
    ++parts_[index].count;
    writes_[port].push(job);
  }
}

void Simulation::start_compute(std::size_t index) {
  const auto compute = isa::Compute::decode(instructions_[index].words);
  std::uint64_t steps = 0;
  for (std::size_t i = 0; i < compute.micro_count; ++i) steps += micro_[(compute.micro_address + i) % micro_.size()];
  const std::uint64_t channels = config_.activation_bits == 8 ? 16 : 8;
  steps = steps * (channels / config_.input_lanes) << geometry_.phases_log2;
  std::uint64_t groups = divide_up(compute.pixels, config_.pixel_lanes);
  if (geometry_.window != 0) {
    steps = compute.micro_count;
    groups = compute.pixels / config_.pixel_lanes + 1;
  }
  const std::uint64_t slices = std::min<std::uint64_t>(config_.pixel_lanes, 4);
  const std::uint64_t of_group = std::max(steps, compute.keep != 0 ? 1 : slices);
  const auto cycles = static_cast<double>(compute.blocks * groups * of_group);
  // Lanes are prepared one by one, when the COMPUTE before has left the preparation; then this one waits for the array.
  const double prepared = std::max(now_, prepare_free_) + 1 + config_.pixel_lanes + 1;
  const double begin = std::max(prepared + 1 + read_latency, array_free_ + compute_gap);
  queue(Unit::compute).free_at = prepared;
  prepare_free_ = std::max(prepared + 1, array_free_);
  array_free_ = begin + cycles;
  const double output = result_latency + static_cast<double>(slices) + (residual_ ? residual_latency : 0);
  completions_.push({array_free_ + output + wait_latency, index});
  if (compute.keep == 0) {
    const double words = std::max(1.0, config_.pixel_lanes / 4.0) * (residual_ ? 2 : 1);
    const double rate = words * static_cast<double>(slices) / static_cast<double>(of_group);
    banks_.add_output(now_, begin + result_latency, array_free_ + output, rate);
  }
}

/// Lets bursts move whose time has come.
bool Simulation::move() {
  bool any = false;
  double stores = 0;
  for (const WritePort& port : writes_) stores += port.conflicts(now_);
  for (ReadPort& port : reads_) {
    if (port.next() > now_) continue;
    any = true;
    const auto received = port.advance(now_, stores);
    if (!received) continue;
    const auto& [reader, burst] = *received;
    if (reader == ReadPort::instructions) {
      if (next_ == arrivals_.size()) starved_.add(std::max(hungry_since_, burst.asked + 1), burst.begin);
      for (std::uint64_t beat = 2; beat <= burst.beats; beat += 2) {
        arrivals_.push_back(burst.begin + static_cast<double>(beat) + dispatch_latency);
      }
    } else {
      end_part(burst, reader == 0 ? loaded_latency : weighted_latency);
    }
  }
  for (WritePort& port : writes_) {
    if (port.next() > now_) continue;
    end_part(port.serve(now_), stored_latency);
    any = true;
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
  if (next_ < arrivals_.size()) consider(std::max(dispatch_free_, arrivals_[next_]));
  for (const Queue& each : queues_) {
    if (!each.instructions.empty()) consider(each.free_at);
  }
  for (const ReadPort& port : reads_) consider(port.next());
  for (const WritePort& port : writes_) consider(port.next());
  return next;
}

}  // namespace

Schedule schedule(const Config& config, std::span<const std::uint32_t> program, double memory_latency) {
  return Simulation(config, program, memory_latency).run();
}

}  // namespace cosoc::conv2d
