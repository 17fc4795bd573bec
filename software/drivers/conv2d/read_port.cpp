#include "drivers/conv2d/read_port.hpp"

namespace cosoc::conv2d {
namespace {

constexpr double read_overhead = 0.2;   // a read burst keeps its port busy for its beats and this ...
constexpr double read_minimum = 4.138;  // ... but at least for this
constexpr double active_latency = 1;    // from a burst on the bus to the reader that waits for it
constexpr double loader_latency = 4;    // from a taken beat to its write into the feature buffer

}  // namespace

/// When a reader's next burst can enter the queue.
double ReadPort::ready(std::size_t number) const {
  const Reader& reader = readers_[number];
  if (reader.queue.empty()) return never;
  double at =
      std::max({reader.queue.front().at, reader.asked + 1, reader.bursts_taken[reader.bursts_asked % outstanding]});
  if (reader.queue.at_start()) at = std::max(at, reader.jobs_taken[reader.jobs_asked % ahead[number]]);
  return at;
}

double ReadPort::next_asked() const {
  if (asked_.size() == queued) return never;
  double first = never;
  for (std::size_t reader = 0; reader < readers; ++reader) first = std::min(first, ready(reader));
  return std::max(first, asked_at_ + 1);
}

double ReadPort::next_taken() const {
  if (arrived_.empty()) return never;
  const Arrival& arrival = arrived_.front();
  const double taken = readers_[loader].taken;
  if (!arrival.burst.job.tile) return end_without_banks(arrival);
  return std::max(taken + static_cast<double>(arrival.burst.beats - beats_taken_), arrival.end());
}

std::optional<ReadPort::Received> ReadPort::advance(double now) {
  if (moves_) {
    if (const auto moved = memory_.take(number_, SharedMemory::read)) return receive(*moved);
  }
  if (next_taken() <= now) return take_words(now);
  if (!moves_ && next_received() <= now) return begin();
  if (next_asked() > now) return {};
  ask(now);
  return {};
}

void ReadPort::ask(double now) {
  do turn_ = (turn_ + 1) % readers;
  while (ready(turn_) > now);
  Reader& reader = readers_[turn_];
  Asked burst = {.reader = turn_,
                 .job = reader.queue.front(),
                 .beats = reader.queue.beats(),
                 .first = reader.queue.at_start(),
                 .last = false,
                 .at = now,
                 .due = now + memory_.latency()};
  burst.last = reader.queue.take();
  reader.bursts_taken[reader.bursts_asked++ % outstanding] = never;
  if (burst.first) reader.jobs_taken[reader.jobs_asked++ % ahead[turn_]] = never;
  asked_.push_back(burst);
  asked_at_ = reader.asked = now;
}

double ReadPort::next_received() const {
  if (asked_.empty()) return never;
  return moves_ ? memory_.next(number_, SharedMemory::read) : std::max(asked_.front().due, free_);
}

/// Beats of the next burst begin to leave memory; instructions are taken as they come.
std::optional<ReadPort::Received> ReadPort::begin() {
  const Asked& burst = asked_.front();
  const double from = std::max(burst.due, free_);
  memory_.begin(number_, SharedMemory::read, from, burst.beats);
  moves_ = true;
  if (burst.reader != instructions) return {};
  const double pace = memory_.beat_cycles();
  const Arrival arrival = {burst, from + pace - 1 + memory_.conversion(), pace};
  return finish(arrival, arrival.end());
}

/// All beats of a burst have left memory. Words of features are taken one by one; others in every cycle.
std::optional<ReadPort::Received> ReadPort::receive(const SharedMemory::Moved& moved) {
  const Asked burst = asked_.front();
  asked_.pop_front();
  moves_ = false;
  free_ = std::max(moved.end + read_overhead, moved.begun + read_minimum);
  if (burst.reader == instructions) return {};
  const double pace = (moved.end - moved.begun) / static_cast<double>(burst.beats);
  const Arrival arrival = {burst, moved.begun + pace - 1 + memory_.conversion(), pace};
  if (burst.reader == loader) {
    arrived_.push_back(arrival);
    return {};
  }
  start(arrival);
  starved_.add(readers_[burst.reader].taken + static_cast<double>(burst.beats), arrival.end());
  return finish(arrival, end_without_banks(arrival));
}

/// The engine could take the first beat of a burst.
void ReadPort::start(const Arrival& arrival) {
  Reader& reader = readers_[arrival.burst.reader];
  if (arrival.burst.first) reader.taken += 1;
  starved_.add(std::max(reader.taken, arrival.burst.at + active_latency), arrival.first);
  reader.taken = std::max(reader.taken, arrival.first);
}

/// When the engine has taken all beats of a burst, none of which waits for a bank.
double ReadPort::end_without_banks(const Arrival& arrival) const {
  const double from = std::max(readers_[arrival.burst.reader].taken, arrival.first);
  return std::max(arrival.end(), from + arrival.burst.job.own * static_cast<double>(arrival.burst.beats));
}

ReadPort::Received ReadPort::finish(const Arrival& arrival, double taken) {
  const Asked& burst = arrival.burst;
  Reader& reader = readers_[burst.reader];
  reader.taken = taken;
  reader.bursts_taken[reader.bursts_received++ % outstanding] = taken;
  if (burst.last) reader.jobs_taken[reader.jobs_received++ % ahead[burst.reader]] = taken;
  return {burst.reader, {burst.job.instruction, arrival.first, burst.beats, burst.last, taken, burst.at}};
}

/// Takes the words whose time has come, each when its bank is free.
std::optional<ReadPort::Received> ReadPort::take_words(double now) {
  const Arrival& arrival = arrived_.front();
  const std::optional<BufferTile>& tile = arrival.burst.job.tile;
  double& taken = readers_[loader].taken;
  if (!started_) {
    started_ = true;
    start(arrival);
    if (tile && arrival.burst.first) way_.emplace(*tile);
  }
  double idle = 0;
  for (; tile && beats_taken_ < arrival.burst.beats; ++beats_taken_) {
    const double from = std::max(taken, arrival.first + static_cast<double>(beats_taken_) * arrival.pace);
    if (from >= now) return {};
    idle += from - taken;
    taken = banks_.write(from + loader_latency, way_->address()) - loader_latency + 1;
    way_->advance();
  }
  const double end = tile ? taken : end_without_banks(arrival);
  starved_.add(end - idle, end);
  const Received received = finish(arrival, end);
  arrived_.pop_front();
  beats_taken_ = 0;
  started_ = false;
  return received;
}

}  // namespace cosoc::conv2d
