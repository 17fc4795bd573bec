/// The memory of a schedule, burst by burst: the engine's ports, and what all of them share.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <limits>
#include <optional>

#include "drivers/conv2d/waits.hpp"

namespace cosoc::conv2d {

inline constexpr double never = std::numeric_limits<double>::infinity();

/// What an engine (a unit's part at one port) moves for one instruction: `transfers` of `beats` words of 16 bytes, in
/// rows of `row_transfers`.
struct PortJob {
  std::size_t instruction = 0;
  double at = 0;  // when its first address can be on the bus, or when its first word can leave the feature buffer
  std::uint64_t transfers = 0;
  std::uint64_t beats = 0;
  std::uint64_t address = 0;  // of the first word; from a base that begins a page
  std::uint64_t row_transfers = 1;
  std::uint64_t row_step = 0;       // words from one row to the next
  std::uint64_t transfer_step = 0;  // words from one transfer of a row to the next
  double own = 1;                   // cycles of the engine for a beat
  bool planes = false;              // each word is in another plane of the feature buffer than the one before
};

/// A burst that moves. Times in cycles; an end is the cycle after the last beat.
struct Burst {
  std::size_t instruction = 0;
  double begin = 0;
  std::uint64_t beats = 0;
  bool last = false;  // of its job
  double done = 0;    // when the engine has taken its beats, or memory has answered
  double asked = 0;   // of reads, when memory was asked
};

/// Memory behind all ports, like the DDR model of the simulation (sim/rtl/ddr_model.hpp): its throughput follows from
/// the ports and directions that moved lately.
class SharedMemory {
 public:
  /// `latency`: cycles from an address to its first beat, and from a last beat to its response. `beat_cycles`: cycles
  /// in which a port moves 16 bytes.
  SharedMemory(double latency, double beat_cycles) : latency_(latency), beat_cycles_(beat_cycles) {}

  double latency() const { return latency_; }
  /// The end of beats that could move from `begin` on.
  double move(std::size_t port, bool writes, double begin, std::uint64_t beats);
  std::uint64_t beats_read() const { return moved_[0]; }
  std::uint64_t beats_written() const { return moved_[1]; }

 private:
  double cost(double now) const;

  double latency_;
  double beat_cycles_;
  std::array<std::array<double, 2>, 2> busy_until_ = {{{-never, -never}, {-never, -never}}};  // by direction and port
  double free_ = 0;  // when it has done what it was given
  std::array<std::uint64_t, 2> moved_{};
};

/// The feature buffer's banks, where the output unit goes before store engines, and these before loaders.
class BufferBanks {
 public:
  explicit BufferBanks(std::size_t banks) : banks_(static_cast<double>(banks)) {}

  /// The output unit will make so many accesses per cycle.
  void add_output(double now, double begin, double end, double rate);
  /// Cycles of a word from or to another plane than the one before, beside the output unit and store engines that it
  /// meets so often in a cycle.
  double word_cycles(double now, double stores) const;

 private:
  struct Output {
    double begin;
    double end;
    double rate;
  };

  double banks_;
  std::deque<Output> outputs_;
};

/// Jobs of an engine, in order, as bursts.
class BurstQueue {
 public:
  bool empty() const { return jobs_.empty(); }
  void push(const PortJob& job) { jobs_.push_back(job); }
  const PortJob& front() const { return jobs_.front(); }
  /// The next burst is the first of its job.
  bool at_start() const { return transfer_ == 0 && offset_ == 0; }
  std::uint64_t beats() const;
  /// The next burst is the last of its transfer.
  bool ends_transfer() const { return offset_ + beats() == jobs_.front().beats; }
  /// The job of the transfer `ahead` transfers after that of the next burst, if there is one.
  const PortJob* job_of_transfer(std::uint64_t ahead) const;
  /// Removes the next burst; true for the last of its job.
  bool take();

 private:
  std::deque<PortJob> jobs_;
  std::uint64_t transfer_ = 0;  // of the current job
  std::uint64_t offset_ = 0;    // beats of it that were taken
};

/// The read channel of a port. Its readers put bursts into one queue, in turn; data comes in the order of the queue.
class ReadPort {
 public:
  static constexpr std::size_t readers = 3;  // features, weights, instructions
  static constexpr std::size_t instructions = 2;

  struct Received {
    std::size_t reader = 0;
    Burst burst;
  };

  /// `starved`: who has asked for a beat, could take it and waits for it; the reader of instructions could not always.
  ReadPort(SharedMemory& memory, const BufferBanks& banks, Waits& starved, std::size_t number)
      : memory_(memory), banks_(banks), starved_(starved), number_(number) {}

  void push(std::size_t reader, const PortJob& job) { readers_[reader].queue.push(job); }
  /// When a burst can enter or leave the queue.
  double next() const { return std::min(next_asked(), next_received()); }
  /// Lets it, at that time, while store engines read (see `BufferBanks`); tells of a burst that leaves.
  std::optional<Received> advance(double now, double stores);

 private:
  static constexpr std::size_t queued = 16;       // bursts that memory has accepted
  static constexpr std::size_t outstanding = 32;  // bursts of a reader whose beats are not taken
  /// Jobs of each reader that are asked for and not received.
  static constexpr std::array<std::size_t, readers> ahead = {5, 5, outstanding};

  struct Reader {
    BurstQueue queue;
    double asked = -1;  // when the latest burst entered the port's queue
    double taken = 0;   // when the engine has taken all beats until now
    /// When the engine had taken those of the latest bursts and jobs, by their numbers; `never` of what has not come.
    std::array<double, outstanding> bursts_taken{};
    std::array<double, outstanding> jobs_taken{};
    std::size_t bursts_asked = 0;
    std::size_t bursts_received = 0;
    std::size_t jobs_asked = 0;
    std::size_t jobs_received = 0;
  };
  struct Asked {
    std::size_t reader;
    PortJob job;
    std::uint64_t beats;
    bool first;
    bool last;
    double at;
    double due;
  };

  double ready(std::size_t number) const;
  double next_asked() const;
  double next_received() const { return asked_.empty() ? never : std::max(asked_.front().due, free_); }
  void ask(double now);
  Received receive(double now, double stores);

  SharedMemory& memory_;
  const BufferBanks& banks_;
  Waits& starved_;
  std::size_t number_;
  std::array<Reader, readers> readers_;
  std::deque<Asked> asked_;
  std::size_t turn_ = 0;  // who was last
  double asked_at_ = -1;  // when
  double free_ = 0;       // when the channel can begin a burst
};

/// The write channel of a port. A burst waits until all its words have left the feature buffer.
class WritePort {
 public:
  /// `blocked`: an engine offers a transfer that must wait until those before it have their words.
  WritePort(SharedMemory& memory, const BufferBanks& banks, Waits& blocked, std::size_t number)
      : memory_(memory), banks_(banks), blocked_(blocked), number_(number) {}

  /// How often a loader meets the store engine at this time, by cycles and banks.
  double conflicts(double now) const;

  void push(const PortJob& job) { queue_.push(job); }
  /// When the next burst has all its words.
  double next() const;
  Burst serve(double now);

 private:
  static constexpr std::size_t outstanding = 32;  // bursts without response, or words read ahead in bursts

  SharedMemory& memory_;
  const BufferBanks& banks_;
  Waits& blocked_;
  std::size_t number_;
  BurstQueue queue_;
  double left_ = 0;    // when the latest word left the feature buffer
  double issued_ = 0;  // when the latest transfer had all its words
  double free_ = 0;
  std::array<double, outstanding> ends_{};
  std::size_t bursts_ = 0;
};

}  // namespace cosoc::conv2d
