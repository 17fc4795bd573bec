/// The read channel of a memory port in a schedule, burst by burst.
#pragma once

#include <algorithm>
#include <array>
#include <optional>

#include "drivers/conv2d/shared_memory.hpp"
#include "drivers/conv2d/waits.hpp"

namespace cosoc::conv2d {

/// Cycles from a beat on the bus to its reader, who waits for a burst from the cycle on in which its address is there.
inline constexpr double beat_latency = 2;

/// The read channel of a port. Its readers put bursts into one queue, in turn; data comes in the order of the queue.
class ReadPort {
 public:
  static constexpr std::size_t readers = 3;  // features, weights, instructions
  static constexpr std::size_t loader = 0;
  static constexpr std::size_t weights = 1;
  static constexpr std::size_t instructions = 2;

  struct Received {
    std::size_t reader = 0;
    Burst burst;
  };

  /// `starved`: who has asked for a beat, could take it and waits for it; the reader of instructions could not always.
  ReadPort(SharedMemory& memory, FeatureBanks& banks, Waits& starved, std::size_t number)
      : memory_(memory), banks_(banks), starved_(starved), number_(number) {}

  void push(std::size_t reader, const PortJob& job) { readers_[reader].queue.push(job); }
  /// When the loader can be given its part of another LOAD: it has requested what it has to, and has few to receive.
  double next_load() const;
  /// Gives it that, which may be without rows.
  void push_load(double now, PortJob job);
  /// When a burst can enter or leave the queue.
  double next() const { return std::min({next_asked(), next_received(), next_taken()}); }
  /// Lets the loader take all that it can before that time, up to the end of a burst, of which it tells.
  std::optional<Received> load(double now);
  /// Lets a burst enter or leave the queue at that time; tells of one that leaves and is not the loader's.
  std::optional<Received> advance(double now);

 private:
  static constexpr std::size_t queued = 16;       // bursts that memory accepts; one more waits for it on the bus
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
    std::array<bool, outstanding> empty_jobs{};
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
    double at;   // when its address is on the bus, unless others are there
    double due;  // `never` until memory has accepted it
  };

  /// A burst that leaves memory.
  struct Arrival {
    Asked burst;
    std::uint64_t moved = 0;  // beats that have left it
    BeatTimes beats{};        // when each of these can be taken
    std::uint64_t taken = 0;  // beats
  };

  /// The queue between loader and feature buffer: while words wait there for their banks, the loader takes beats and
  /// may starve. Where words go, and so when the next may come, follows from the banks alone.
  struct WordQueue {
    static constexpr std::size_t words = 8;
    double free = 0;                      // when the loader could take another beat if there are places
    std::array<double, words> written{};  // the latest words
    std::size_t count = 0;
  };

  double ready(std::size_t number) const;
  double next_asked() const;
  double next_received() const;
  double next_taken() const;
  double free_at(const Arrival& arrival) const;
  double could_take(bool starts_job) const;
  void ask(double now);
  std::optional<Received> begin();
  std::optional<Received> receive(const SharedMemory::Moved& moved);
  void learn(Arrival& arrival) const;
  bool take(Arrival& arrival, double until);
  /// The first of the loader's bursts still moves.
  bool first_moves() const { return arrived_.size() == 1 && moves_ && asked_.front().reader == loader; }
  Received finish(const Asked& burst, double begin);
  void end_job(std::size_t reader, double time);

  SharedMemory& memory_;
  FeatureBanks& banks_;
  Waits& starved_;
  std::size_t number_;
  std::array<Reader, readers> readers_;
  std::deque<Asked> asked_;
  bool moves_ = false;           // the first of these
  std::size_t turn_ = 0;         // who was last
  double asked_at_ = -1;         // when memory accepted the latest one
  double free_ = 0;              // when the channel can begin a burst
  std::deque<Arrival> arrived_;  // bursts of features that the loader has not taken; the last may still move
  double requests_free_ = 0;     // when the loader can have requested all transfers of its latest job, one in a cycle
  double held_ = 0;              // until when the bank of the loader's word is busy, as far as that is known
  std::optional<TileWalk> way_;  // of the loader, over its tile
  WordQueue words_;
};

}  // namespace cosoc::conv2d
