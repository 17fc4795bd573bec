/// What the units of a schedule do with an instruction when it starts.
#include <algorithm>

#include "drivers/conv2d/simulation.hpp"

namespace cosoc::conv2d {
namespace {

using isa::Opcode;

// Latencies of the gateware in cycles, without those of the memory.
constexpr double load_latency = 8;      // start of a LOAD to its first address on the bus
constexpr double given_cycles = 2;      // from one LOAD to the next
constexpr double weights_latency = 7;   // likewise of WEIGHTS and CHANNELS
constexpr double store_latency = 29;    // start of a STORE to the first word at the bus
constexpr double read_latency = 6;      // a COMPUTE that is prepared to its first step
constexpr double compute_gap = 2;       // from the last step of a COMPUTE to the first of the next
constexpr double queue_latency = 20;    // last step of a group to its result in the queue
constexpr double result_latency = 40;   // last step to last result in the buffer, without the slices of a group
constexpr double residual_latency = 7;  // more, with residuals

}  // namespace

void Simulation::start(std::size_t index) {
  const StreamInstruction& instruction = instructions_[index];
  const std::span<const std::uint32_t, isa::instruction_words> words(instruction.words);
  switch (instruction.opcode) {
    case Opcode::load:
      return start_load(index, isa::Load::decode(words));
    case Opcode::weights:
      return start_weights(index, isa::Weights::decode(words).offset, beats_of(instruction) / config_.memory_ports,
                           true);
    case Opcode::channels:
      return start_weights(index, isa::Channels::decode(words).offset, beats_of(instruction), false);
    case Opcode::store:
      return start_store(index, isa::Store::decode(words));
    case Opcode::compute:
      return start_compute(index);
    case Opcode::micro:
      queue(Unit::compute).free_at = now_ + std::max<double>(release_cycles, isa::Micro::decode(words).count);
      break;
    case Opcode::geometry:
    case Opcode::output:
      break;  // the work of each COMPUTE has them
  }
}

/// What an instruction moves over all ports.
std::uint64_t Simulation::beats_of(const StreamInstruction& instruction) const {
  const std::span<const std::uint32_t, isa::instruction_words> words(instruction.words);
  const auto of_tile = [](const auto& tile) { return std::uint64_t{tile.rows} * tile.columns * tile.words; };
  switch (instruction.opcode) {
    case Opcode::load:
      return of_tile(isa::Load::decode(words));
    case Opcode::weights:
      return std::uint64_t{isa::Weights::decode(words).steps} * config_.input_lanes * config_.output_lanes / 16;
    case Opcode::channels:
      return std::uint64_t{isa::Channels::decode(words).blocks} * config_.output_lanes *
             (config_.activation_bits == 8 ? 8 : 16) / 16;
    case Opcode::store:
      return of_tile(isa::Store::decode(words));
    default:
      return 0;
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
          .own = 1,
          .tile = BufferTile{.address = tile.address,
                             .row_pitch = tile.address_row_pitch,
                             .plane_pitch = tile.address_plane_pitch,
                             .columns = tile.columns,
                             .words = tile.words,
                             .rows = {static_cast<std::int64_t>(port), config_.memory_ports, 1, tile.rows},
                             .positions = {0, 1, 1, tile.columns}}};
}

void Simulation::start_load(std::size_t index, const isa::Load& load) {
  Fork fork;
  for (std::size_t port = 0; port < config_.memory_ports; ++port) {
    const std::uint64_t rows = rows_of(port, load.rows);
    PortJob job = job_of(index, now_ + load_latency, load, port, rows);
    if (load.fold_channels != 0) {
      job.own += static_cast<double>(load.fold_left + load.fold_right) / load.columns;
      job.tile.reset();
    }
    if (rows != 0) ++parts_[index].count;
    fork.jobs.push_back(job);
  }
  fork.taken.assign(config_.memory_ports, false);
  loads_.push_back(fork);
}

/// Ports take their parts of the first LOAD that not all have.
bool Simulation::give_loads() {
  if (loads_.empty()) return false;
  Fork& fork = loads_.front();
  bool any = false;
  for (std::size_t port = 0; port < config_.memory_ports; ++port) {
    if (fork.taken[port] || next_given(port) > now_) continue;
    reads_[port].push_load(now_, fork.jobs[port]);
    fork.taken[port] = any = true;
  }
  if (std::find(fork.taken.begin(), fork.taken.end(), false) == fork.taken.end()) {
    loads_.pop_front();
    given_free_ = now_ + given_cycles;
  }
  return any;
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
  for (std::size_t port = 0; port < config_.memory_ports; ++port) {
    const std::uint64_t rows = rows_of(port, store.rows);
    if (rows == 0) continue;
    PortJob job = job_of(index, now_ + store_latency, store, port, rows);
    job.tile->rows = {store.origin_row + std::int64_t{store.stride_rows} * static_cast<std::int64_t>(port),
                      std::int64_t{store.stride_rows} * config_.memory_ports, store.window_rows, store.in_rows};
    job.tile->positions = {store.origin_column, store.stride_columns, store.window_columns, store.in_columns};
    ++parts_[index].count;
    writes_[port].push(job);
  }
}

void Simulation::start_compute(std::size_t index) {
  const ArrayWork& work = work_[computes_++];
  const isa::Compute& compute = work.compute;
  // Lanes are prepared one by one, when the COMPUTE before has left the preparation; then this one waits for the array.
  const double prepared = std::max(now_, prepare_free_) + 1 + config_.pixel_lanes + 1;
  const double begin = std::max(prepared + 1 + read_latency, array_free_ + compute_gap);
  queue(Unit::compute).free_at = prepared;
  prepare_free_ = std::max(prepared + 1, array_free_);
  array_free_ = begin + static_cast<double>(work.array_cycles());
  array_left_ -= work.array_cycles();
  const double latency = result_latency + (work.output.residual != 0 ? residual_latency : 0);
  if (compute.keep != 0) return completions_.push({array_free_ + latency + wait_latency, index});
  const double last = add_results(work, begin + static_cast<double>(work.steps) + latency);
  // A group has a place in the queue before the output unit from its start on, and may have to wait for one.
  const double taken = last - latency - static_cast<double>(work.last_slices);
  const double places = config_.pixel_lanes <= 2 ? 32 : 16;
  const double queued = (places - 1) * static_cast<double>(work.slices) - queue_latency;
  array_free_ = std::max(array_free_, taken - std::max(0.0, queued - static_cast<double>(work.steps)));
  completions_.push({last + wait_latency, index});
}

/// The output unit writes the results of a COMPUTE from that cycle on; returns when it has.
double Simulation::add_results(const ArrayWork& work, double first) {
  const isa::Compute& compute = work.compute;
  OutputStream stream = {.first = static_cast<std::int64_t>(first) - 1,
                         .steps = work.steps,
                         .blocks = compute.blocks,
                         .groups = work.groups,
                         .before = work.geometry.window,
                         .pixels = compute.pixels,
                         .columns = work.geometry.out_columns,
                         .address = compute.out_address,
                         .row_step = static_cast<std::uint32_t>(work.output.row_step),
                         .plane_pitch = work.output.plane_pitch,
                         .part = compute.out_part};
  if (work.output.residual != 0) {
    stream.residual_offset = static_cast<std::uint32_t>(compute.residual_address) - compute.out_address;
  }
  return static_cast<double>(banks_.add(stream)) + 2;
}

}  // namespace cosoc::conv2d
