#include "drivers/conv2d/schedule.hpp"

#include <algorithm>
#include <cmath>
#include <deque>
#include <limits>
#include <queue>

namespace cosoc::conv2d {
namespace {

using isa::Opcode;
using isa::Unit;

constexpr std::size_t units = 4;
constexpr std::size_t words_per_instruction = isa::instruction_bytes / 4;
constexpr double never = std::numeric_limits<double>::infinity();
/// Amounts and times below this are rounding errors of the fluid model.
constexpr double negligible = 1e-6;

// Latencies of the gateware in cycles.
constexpr double command_latency = 47;     // fetch of the command and its check, before the memory's latency
constexpr double dispatch_cycles = 2;      // per instruction
constexpr double dispatch_latency = 6;     // from the beats of an instruction to its queue
constexpr std::size_t queue_depth = 16;    // of each unit
constexpr std::size_t in_flight = 4;       // instructions that a unit moves data for
constexpr double request_latency = 8;      // instruction to address on the bus, and the first beat's way to the buffer
constexpr double store_latency = 14;       // instruction to first beat on the bus
constexpr double finish_latency = 3;       // last word in the buffer to a wait that is over
constexpr double prepare_latency = 6;      // of a COMPUTE, beside a cycle for each pixel lane
constexpr double compute_gap = 2;          // between two COMPUTEs
constexpr double result_latency = 40;      // last step to last result in the buffer, without the slices of a group
constexpr double completion_latency = 20;  // beside the memory's latency

// The memory: the ZCU102's measured bandwidths at 300 MHz, as in sim/rtl/ddr_model.hpp, in cycles and bytes per cycle.
constexpr double memory_latency = 45;   // address to first beat, last beat to response: 150 ns, an estimate
constexpr double burst_beats = 16;      // longest burst
constexpr double read_overhead = 0.2;   // added to the beats of a read burst ...
constexpr double read_minimum = 4.138;  // ... which takes at least this
struct Capacity {
  double read;
  double write;
  double mixed;  // half of the bytes read, half written
};
constexpr Capacity one_port = {15.87, 16.0, 31.1};
constexpr Capacity two_ports = {31.53, 32.0, 42.0};

std::uint64_t divide_up(std::uint64_t a, std::uint64_t b) { return (a + b - 1) / b; }

/// What one engine (a unit's part at one memory port) does for one instruction.
struct Flow {
  std::size_t instruction;
  double left;      // cycles that the engine needs on its own
  double density;   // cycles of the port per cycle of the engine
  double bytes;     // on the bus per cycle of the engine
  double ready_at;  // when data can begin to move
};

struct Instruction {
  Opcode opcode;
  Unit unit;
  bool counted;
  std::array<std::uint64_t, units> targets{};  // finished instructions of each unit before it may start
  std::array<std::uint32_t, words_per_instruction> words{};
};

Unit unit_of(Opcode opcode) {
  switch (opcode) {
    case Opcode::load:
      return Unit::load;
    case Opcode::weights:
    case Opcode::channels:
      return Unit::weights;
    case Opcode::store:
      return Unit::store;
    default:
      return Unit::compute;
  }
}

bool is_counted(Opcode opcode) {
  return opcode != Opcode::micro && opcode != Opcode::geometry && opcode != Opcode::output;
}

class Simulation {
 public:
  explicit Simulation(const Config& config) : config_(config) {}

  double run(std::span<const std::uint32_t> program);

 private:
  struct Engine {
    std::deque<Flow> flows;
    double rate = 0;  // engine cycles per cycle, until the next event
    bool moves(double now) const { return !flows.empty() && flows.front().ready_at <= now + negligible; }
  };
  struct Completion {
    double time;
    std::size_t instruction;
    bool operator>(const Completion& other) const { return time > other.time; }
  };

  void decode(std::span<const std::uint32_t> program);
  bool dispatch();
  bool release(Unit unit);
  void start(std::size_t index);
  void start_load(std::size_t index, const isa::Load& load);
  void start_weights(std::size_t index, std::uint64_t beats, bool all_ports);
  void start_store(std::size_t index, const isa::Store& store);
  void start_compute(std::size_t index);
  void add_flow(std::size_t index, std::size_t port, Flow flow);
  bool complete();
  void set_rates();
  double next_event() const;
  void advance(double until);
  void end_flow(Unit unit, std::size_t port);
  Engine& engine(Unit unit, std::size_t port) { return engines_[static_cast<std::size_t>(unit)][port]; }

  /// Cycles in which a port carries 16 bytes.
  double beat_cycles() const { return 128.0 / config_.memory_port_bits; }

  /// Port cycles of the read bursts of a transfer.
  double read_cost(double beats) const {
    const double full = std::floor(beats / burst_beats);
    const double rest = beats - full * burst_beats;
    const auto burst = [&](double n) { return std::max(n * beat_cycles() + read_overhead, read_minimum); };
    return full * burst(burst_beats) + (rest > 0 ? burst(rest) : 0);
  }

  const Config& config_;
  std::vector<Instruction> instructions_;
  std::array<std::deque<std::size_t>, units> queues_;
  std::array<std::uint64_t, units> finished_{};
  std::array<std::array<Engine, 2>, units> engines_;
  std::vector<std::size_t> parts_left_;  // engines that still move data of an instruction
  std::priority_queue<Completion, std::vector<Completion>, std::greater<>> completions_;
  std::array<std::size_t, units> flying_{};  // instructions of a unit that move data
  double now_ = 0;
  std::size_t next_ = 0;     // to be dispatched
  double dispatch_at_ = 0;   // when the next instruction is there
  double prepare_free_ = 0;  // when the next setting or COMPUTE can be taken
  double array_free_ = 0;    // when the array ends its last step
  std::vector<std::uint8_t> micro_ = std::vector<std::uint8_t>(isa::micro_operations);  // words of each entry
  isa::Geometry geometry_;
};

void Simulation::decode(std::span<const std::uint32_t> program) {
  std::array<std::uint64_t, units> before{};
  for (std::size_t at = 0; at + words_per_instruction <= program.size(); at += words_per_instruction) {
    Instruction instruction;
    std::copy_n(program.begin() + static_cast<std::ptrdiff_t>(at), words_per_instruction, instruction.words.begin());
    instruction.opcode = static_cast<Opcode>(program[at] & 0xF);
    instruction.unit = unit_of(instruction.opcode);
    instruction.counted = is_counted(instruction.opcode);
    for (std::size_t unit = 0; unit < units; ++unit) {
      const std::uint64_t distance = program[at + 1] >> (8 * unit) & 0xFF;
      instruction.targets[unit] = distance == isa::no_wait || distance > before[unit] ? 0 : before[unit] - distance;
    }
    if (instruction.counted) ++before[static_cast<std::size_t>(instruction.unit)];
    instructions_.push_back(instruction);
  }
}

double Simulation::run(std::span<const std::uint32_t> program) {
  decode(program);
  parts_left_.resize(instructions_.size());
  dispatch_at_ = command_latency + 2 * memory_latency + dispatch_latency;
  while (true) {
    bool progress = true;
    while (progress) {
      progress = complete();
      progress |= dispatch();
      for (std::size_t unit = 0; unit < units; ++unit) progress |= release(static_cast<Unit>(unit));
    }
    set_rates();
    const double next = next_event();
    if (next == never) break;
    advance(next);
  }
  return now_ + memory_latency + completion_latency;
}

bool Simulation::dispatch() {
  if (next_ == instructions_.size() || dispatch_at_ > now_ + negligible) return false;
  auto& queue = queues_[static_cast<std::size_t>(instructions_[next_].unit)];
  if (queue.size() >= queue_depth) return false;
  queue.push_back(next_);
  ++next_;
  dispatch_at_ = now_ + dispatch_cycles;
  return true;
}

/// Gives the unit its next instruction when it may start.
bool Simulation::release(Unit unit) {
  const auto number = static_cast<std::size_t>(unit);
  auto& queue = queues_[number];
  if (queue.empty()) return false;
  const std::size_t index = queue.front();
  const auto& targets = instructions_[index].targets;
  for (std::size_t other = 0; other < units; ++other) {
    if (finished_[other] < targets[other]) return false;
  }
  if (unit == Unit::compute ? prepare_free_ > now_ + negligible : flying_[number] >= in_flight) return false;
  queue.pop_front();
  start(index);
  return true;
}

void Simulation::start(std::size_t index) {
  const Instruction& instruction = instructions_[index];
  const std::span<const std::uint32_t, words_per_instruction> words(instruction.words);
  switch (instruction.opcode) {
    case Opcode::load:
      return start_load(index, isa::Load::decode(words));
    case Opcode::weights:
      return start_weights(index,
                           std::uint64_t{isa::Weights::decode(words).steps} * config_.input_lanes *
                               config_.output_lanes / 16 / config_.memory_ports,
                           true);
    case Opcode::channels:
      return start_weights(index,
                           std::uint64_t{isa::Channels::decode(words).blocks} * config_.output_lanes *
                               (config_.activation_bits == 8 ? 8 : 16) / 16,
                           false);
    case Opcode::store:
      return start_store(index, isa::Store::decode(words));
    case Opcode::compute:
      return start_compute(index);
    case Opcode::micro: {
      const auto micro = isa::Micro::decode(words);
      const std::array counts = {micro.words0, micro.words1, micro.words2, micro.words3};
      for (std::size_t i = 0; i < micro.count; ++i) micro_[(micro.address + i) % micro_.size()] = counts[i];
      prepare_free_ = now_ + micro.count;
      break;
    }
    case Opcode::geometry:
      geometry_ = isa::Geometry::decode(words);
      [[fallthrough]];
    default:
      prepare_free_ = now_ + 1;
  }
}

void Simulation::add_flow(std::size_t index, std::size_t port, Flow flow) {
  flow.instruction = index;
  ++parts_left_[index];
  engine(instructions_[index].unit, port).flows.push_back(flow);
}

void Simulation::start_load(std::size_t index, const isa::Load& load) {
  ++flying_[static_cast<std::size_t>(Unit::load)];
  for (std::size_t port = 0; port < config_.memory_ports; ++port) {
    const std::uint64_t rows = (load.rows + config_.memory_ports - 1 - port) / config_.memory_ports;
    if (rows == 0) continue;
    const double beats = static_cast<double>(rows) * load.columns * load.words;
    const bool contiguous = load.pixel_pitch == load.words;
    const double transfer = contiguous ? static_cast<double>(load.columns) * load.words : load.words;
    const double cost = read_cost(transfer) * beats / transfer;
    const double around = load.fold_channels == 0 ? 0 : static_cast<double>(rows) * (load.fold_left + load.fold_right);
    const double own = beats + around;
    add_flow(index, port, {0, own, cost / own, 16 * beats / own, now_ + request_latency + memory_latency});
  }
}

void Simulation::start_weights(std::size_t index, std::uint64_t beats, bool all_ports) {
  ++flying_[static_cast<std::size_t>(Unit::weights)];
  const double own = static_cast<double>(beats);
  for (std::size_t port = 0; port < (all_ports ? config_.memory_ports : 1); ++port) {
    add_flow(index, port, {0, own, read_cost(own) / own, 16, now_ + request_latency + memory_latency});
  }
}

void Simulation::start_store(std::size_t index, const isa::Store& store) {
  ++flying_[static_cast<std::size_t>(Unit::store)];
  for (std::size_t port = 0; port < config_.memory_ports; ++port) {
    const std::uint64_t rows = (store.rows + config_.memory_ports - 1 - port) / config_.memory_ports;
    if (rows == 0) continue;
    const double beats = static_cast<double>(rows) * store.columns * store.words;
    const double own = beats * std::max<double>(store.window_rows * store.window_columns, beat_cycles());
    add_flow(index, port, {0, own, beats / own, 16 * beats / own, now_ + store_latency});
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
  const auto cycles = static_cast<double>(compute.blocks * groups * std::max(steps, slices));
  const double begin = std::max(now_ + prepare_latency + config_.pixel_lanes, array_free_ + compute_gap);
  prepare_free_ = begin;
  array_free_ = begin + cycles;
  completions_.push({array_free_ + result_latency + static_cast<double>(slices), index});
}

bool Simulation::complete() {
  bool any = false;
  while (!completions_.empty() && completions_.top().time <= now_ + negligible) {
    const std::size_t index = completions_.top().instruction;
    completions_.pop();
    ++finished_[static_cast<std::size_t>(instructions_[index].unit)];
    any = true;
  }
  return any;
}

/// The reads of a port share it, all ports share the memory.
void Simulation::set_rates() {
  double read = 0;
  double written = 0;
  std::size_t busy_ports = 0;
  for (std::size_t port = 0; port < config_.memory_ports; ++port) {
    Engine& load = engine(Unit::load, port);
    Engine& weights = engine(Unit::weights, port);
    Engine& store = engine(Unit::store, port);
    const double load_wants = load.moves(now_) ? std::min(1.0, load.flows.front().density) : 0;
    const double weights_want = weights.moves(now_) ? std::min(1.0, weights.flows.front().density) : 0;
    const double load_gets = std::min(load_wants, std::max(0.5, 1 - weights_want));
    const double weights_get = std::min(weights_want, 1 - load_gets);
    load.rate = load_wants > 0 ? load_gets / load.flows.front().density : 0;
    weights.rate = weights_want > 0 ? weights_get / weights.flows.front().density : 0;
    store.rate = store.moves(now_) ? 1 : 0;
    for (const Engine* reader : {&load, &weights}) {
      if (reader->rate > 0) read += reader->rate * reader->flows.front().bytes;
    }
    if (store.rate > 0) written += store.flows.front().bytes;
    busy_ports += load.rate + weights.rate + store.rate > 0 ? 1 : 0;
  }
  const double total = read + written;
  if (total == 0) return;
  const Capacity& capacity = busy_ports > 1 ? two_ports : one_port;
  const double minor = 2 * std::min(read, written) / total;
  const double most = (read >= written ? capacity.read : capacity.write) * (1 - minor) + capacity.mixed * minor;
  if (total <= most) return;
  for (auto& unit : engines_) {
    for (Engine& part : unit) part.rate *= most / total;
  }
}

double Simulation::next_event() const {
  double next = completions_.empty() ? never : completions_.top().time;
  if (next_ < instructions_.size() && dispatch_at_ > now_ + negligible) next = std::min(next, dispatch_at_);
  if (!queues_[static_cast<std::size_t>(Unit::compute)].empty() && prepare_free_ > now_ + negligible) {
    next = std::min(next, prepare_free_);
  }
  for (const auto& unit : engines_) {
    for (const Engine& part : unit) {
      if (part.flows.empty()) continue;
      const Flow& flow = part.flows.front();
      if (flow.ready_at > now_ + negligible) {
        next = std::min(next, flow.ready_at);
      } else if (part.rate > 0) {
        next = std::min(next, now_ + flow.left / part.rate);
      }
    }
  }
  return next;
}

void Simulation::advance(double until) {
  const double elapsed = until - now_;
  now_ = until;
  for (std::size_t unit = 0; unit < units; ++unit) {
    for (std::size_t port = 0; port < config_.memory_ports; ++port) {
      Engine& part = engines_[unit][port];
      if (part.flows.empty() || part.rate == 0) continue;
      part.flows.front().left -= part.rate * elapsed;
      part.rate = 0;
      if (part.flows.front().left <= negligible) end_flow(static_cast<Unit>(unit), port);
    }
  }
}

void Simulation::end_flow(Unit unit, std::size_t port) {
  Engine& part = engine(unit, port);
  const std::size_t index = part.flows.front().instruction;
  part.flows.pop_front();
  if (--parts_left_[index] > 0) return;
  --flying_[static_cast<std::size_t>(unit)];
  completions_.push({now_ + finish_latency + (unit == Unit::store ? memory_latency : 0), index});
}

}  // namespace

double scheduled_cycles(const Config& config, std::span<const std::uint32_t> program) {
  return Simulation(config).run(program);
}

}  // namespace cosoc::conv2d
