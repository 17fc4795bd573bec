/// The simulation behind a schedule: dispatcher and units by events, memory ports by bursts.
#pragma once

#include <array>
#include <deque>
#include <functional>
#include <queue>
#include <vector>

#include "drivers/conv2d/array_work.hpp"
#include "drivers/conv2d/read_port.hpp"
#include "drivers/conv2d/schedule.hpp"
#include "drivers/conv2d/write_port.hpp"

namespace cosoc::conv2d {

using isa::Unit;

/// Cycles from the end of an instruction to the start of one that waited for it.
inline constexpr double wait_latency = 2;
inline constexpr double release_cycles = 2;  // between two instructions of a unit

/// A program that runs alone.
class Simulation {
 public:
  Simulation(const Config& config, std::span<const std::uint32_t> program, double memory_latency);

  /// As `schedule` has it.
  Schedule run(double limit);

 private:
  struct Queue {
    std::deque<std::size_t> instructions;
    std::deque<double> entries;  // when the dispatcher will see that an instruction has entered the queue ...
    std::deque<double> exits;    // ... or left it
    std::size_t seen = 0;        // instructions in the queue, as the dispatcher sees it
    double free_at = 0;          // when the next one may start
    std::size_t flying = 0;      // instructions that move data
    std::uint64_t finished = 0;  // counted ones
  };
  struct Completion {
    double time;
    std::size_t instruction;
    bool operator>(const Completion& other) const { return time > other.time; }
  };
  /// A LOAD that ports have not taken: each takes its part when all have taken theirs of the one before.
  struct Fork {
    std::vector<PortJob> jobs;  // of each port
    std::vector<bool> taken;
  };
  /// What is left of an instruction at the ports.
  struct Parts {
    std::size_t count = 0;
    double done = 0;
  };

  void fetch();
  bool dispatch();
  bool may_enter(Queue& queue) const;
  bool release(Unit unit);
  void start(std::size_t index);
  std::uint64_t beats_of(const StreamInstruction& instruction) const;
  void start_load(std::size_t index, const isa::Load& load);
  bool give_loads();
  double next_given(std::size_t port) const { return std::max(given_free_, reads_[port].next_load()); }
  bool has_room(Unit unit) const;
  void start_weights(std::size_t index, std::uint64_t offset, std::uint64_t beats, bool all_ports);
  template <class Tile>
  PortJob job_of(std::size_t index, double at, const Tile& tile, std::size_t port, std::uint64_t rows) const;
  void start_store(std::size_t index, const isa::Store& store);
  void start_compute(std::size_t index);
  double add_results(const ArrayWork& work, double first);
  bool move();
  void end_part(const Burst& burst, double latency);
  bool complete();
  double next_event() const;
  double least_cycles() const;
  Queue& queue(Unit unit) { return queues_[static_cast<std::size_t>(unit)]; }
  const Queue& queue(Unit unit) const { return queues_[static_cast<std::size_t>(unit)]; }
  std::uint64_t rows_of(std::size_t port, std::uint64_t rows) const {
    return (rows + config_.memory_ports - 1 - port) / config_.memory_ports;
  }

  const Config& config_;
  std::vector<StreamInstruction> instructions_;
  SharedMemory memory_;
  FeatureBanks banks_;
  Waits starved_;
  Waits blocked_;
  std::vector<ReadPort> reads_;
  std::vector<WritePort> writes_;
  std::array<Queue, units> queues_;
  std::deque<Fork> loads_;
  double given_free_ = 0;     // when the first of them can be given
  std::vector<Parts> parts_;  // of each instruction
  std::priority_queue<Completion, std::vector<Completion>, std::greater<>> completions_;
  double now_ = 0;
  std::size_t fetched_ = 0;               // instructions that memory was asked for
  std::vector<double> arrivals_;          // when each instruction is there
  std::size_t next_ = 0;                  // to be dispatched
  double dispatch_free_ = 0;              // when the dispatcher has finished the one before
  double hungry_since_ = 0;               // when it could take another one
  double prepare_free_ = 0;               // when the latest COMPUTE has left its preparation
  double array_free_ = 0;                 // when the array ends its last step
  std::vector<ArrayWork> work_;           // of each COMPUTE
  std::size_t computes_ = 0;              // that have started
  std::uint64_t array_left_ = 0;          // cycles of those that have not
  std::array<std::uint64_t, 2> beats_{};  // of the whole program, by direction
};

}  // namespace cosoc::conv2d
