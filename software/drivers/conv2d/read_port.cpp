#include "drivers/conv2d/read_port.hpp"

#include <cmath>

namespace cosoc::conv2d {
namespace {

constexpr double read_overhead = 0.2;         // a read burst keeps its port busy for its beats and this ...
constexpr double read_minimum = 4.138;        // ... but at least for this
constexpr std::uint64_t split_transfers = 3;  // that the port has accepted and not yet cut into bursts ...
constexpr std::uint64_t split_bursts = 1;     // ... and these on their way to the arbiter
constexpr double request_latency = 6;         // from a loader's part of a LOAD to its first address
constexpr double next_load_latency = 3;       // from the end of a job to the part of a LOAD that waits for it
constexpr double next_weights_latency = 9;    // likewise to the first address of a WEIGHTS
constexpr double job_gap = 1;                 // from the last beat of a job to the first of the next
constexpr double queue_latency = 1;           // from the write of a word to the beat that may take its place
constexpr double loader_latency = 4;          // from a taken beat to its write into the feature buffer

}  // namespace

/// When a reader's next burst can enter the queue.
double ReadPort::ready(std::size_t number) const {
  const Reader& reader = readers_[number];
  if (reader.queue.empty()) return never;
  double at =
      std::max({reader.queue.front().at, reader.asked + 1, reader.bursts_taken[reader.bursts_asked % outstanding]});
  if (number != loader && reader.queue.at_start()) {
    at = std::max(at, reader.jobs_taken[reader.jobs_asked % ahead[number]] + next_weights_latency);
  }
  return at;
}

double ReadPort::next_load() const {
  const Reader& reader = readers_[loader];
  const bool requested = reader.queue.transfers_after(split_bursts) <= split_transfers;
  if (!requested) return never;
  return std::max(requests_free_, reader.jobs_taken[reader.jobs_asked % ahead[loader]] + next_load_latency);
}

void ReadPort::push_load(double now, PortJob job) {
  Reader& reader = readers_[loader];
  const std::size_t place = reader.jobs_asked % ahead[loader];
  reader.jobs_taken[place] = never;
  reader.empty_jobs[place] = job.transfers == 0;
  job.at = std::max(job.at, now + request_latency);
  requests_free_ = job.at - request_latency + static_cast<double>(job.transfers) + 1;
  if (job.transfers != 0) reader.queue.push(job);
  if (reader.jobs_asked++ == reader.jobs_received && job.transfers == 0) end_job(loader, now);
}

double ReadPort::next_asked() const {
  if (asked_.size() > queued) return never;
  double first = never;
  for (std::size_t reader = 0; reader < readers; ++reader) first = std::min(first, ready(reader));
  return std::max(first, asked_at_ + 1);
}

/// When the engine could take the next beat of a burst, if it were there.
double ReadPort::free_at(const Arrival& arrival) const {
  const bool starts_job = arrival.burst.first && arrival.taken == 0;
  const double free = readers_[arrival.burst.reader].taken + (starts_job ? job_gap : 0);
  return arrival.burst.reader == loader ? std::max(free, held_) : free;
}

double ReadPort::next_taken() const {
  if (arrived_.empty() || first_moves()) return never;
  const Arrival& arrival = arrived_.front();
  const auto left = static_cast<double>(arrival.burst.beats - arrival.taken);
  return std::max(free_at(arrival) + left, arrival.beats[arrival.burst.beats - 1] + 1);
}

std::optional<ReadPort::Received> ReadPort::advance(double now) {
  if (moves_) {
    if (const auto moved = memory_.take(number_, SharedMemory::read)) return receive(*moved);
  }
  if (!moves_ && next_received() <= now) return begin();
  if (next_asked() > now) return {};
  ask(now);
  return {};
}

/// The next reader in turn puts a burst on the bus; while memory has no place, this is settled before it gets one.
void ReadPort::ask(double now) {
  do turn_ = (turn_ + 1) % readers;
  while (ready(turn_) > now);
  Reader& reader = readers_[turn_];
  Asked burst = {.reader = turn_,
                 .job = reader.queue.front(),
                 .beats = reader.queue.beats(),
                 .first = reader.queue.at_start(),
                 .last = false,
                 .at = ready(turn_),
                 .due = asked_.size() < queued ? now + memory_.latency() : never};
  burst.last = reader.queue.take();
  reader.bursts_taken[reader.bursts_asked++ % outstanding] = never;
  if (burst.first && turn_ != loader) reader.jobs_taken[reader.jobs_asked++ % ahead[turn_]] = never;
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
  if (burst.reader == loader) arrived_.push_back({burst});
  if (burst.reader != instructions) return {};
  Reader& reader = readers_[instructions];
  const double first = std::floor(from) + memory_.beat_cycles() - 1 + memory_.conversion();
  reader.taken = first + static_cast<double>(burst.beats - 1) * memory_.beat_cycles() + 1;
  return finish(burst, first);
}

/// When the loader can take the next beat: not while its queue is full.
double ReadPort::could_take(bool starts_job) const {
  const double oldest = words_.written[words_.count % WordQueue::words];
  return std::max(words_.free, oldest + queue_latency) + (starts_job ? job_gap : 0);
}

/// All beats of a burst have left memory. Those of features wait until their time has come.
std::optional<ReadPort::Received> ReadPort::receive(const SharedMemory::Moved& moved) {
  Arrival arrival = {asked_.front()};
  asked_.pop_front();
  if (asked_.size() == queued) {
    asked_at_ = std::floor(moved.end);
    asked_.back().due = asked_at_ + memory_.latency();
  }
  moves_ = false;
  free_ = std::max(moved.end + read_overhead, moved.begun + read_minimum);
  if (arrival.burst.reader == loader) learn(arrived_.back());
  if (arrival.burst.reader != weights) return {};
  learn(arrival);
  while (arrival.taken < arrival.burst.beats) take(arrival, never);
  return finish(arrival.burst, arrival.beats[0]);
}

/// Which beats of the burst that moves, or was the last to, have left memory.
void ReadPort::learn(Arrival& arrival) const {
  const std::span<const double> beats = memory_.beats(number_, SharedMemory::read);
  for (; arrival.moved < beats.size(); ++arrival.moved) {
    arrival.beats[arrival.moved] = beats[arrival.moved] + memory_.conversion();
  }
}

std::optional<ReadPort::Received> ReadPort::load(double now) {
  if (arrived_.empty()) return {};
  if (moves_ && asked_.front().reader == loader) learn(arrived_.back());
  Arrival& arrival = arrived_.front();
  while (arrival.taken < arrival.moved && take(arrival, now)) continue;
  if (arrival.taken < arrival.burst.beats || first_moves()) return {};
  const Received received = finish(arrival.burst, arrival.beats[0]);
  arrived_.pop_front();
  return received;
}

/// The engine takes a beat before that time, when the one before is done and its bank is free; tells whether it does.
bool ReadPort::take(Arrival& arrival, double until) {
  const Asked& burst = arrival.burst;
  Reader& reader = readers_[burst.reader];
  const double there = arrival.beats[arrival.taken];
  const bool starts_job = burst.first && arrival.taken == 0;
  double could = free_at(arrival);
  const double from = std::max(could, there);
  if (from >= until) return false;
  std::optional<double> written;
  if (burst.job.tile) {
    if (starts_job) way_.emplace(*burst.job.tile);
    written = banks_.write(from + loader_latency, way_->address(), until + loader_latency);
    if (!written) return held_ = until, false;
    could = could_take(starts_job);
  }
  if (arrival.taken++ == 0) could = std::max(could, burst.at - beat_latency);
  starved_.add(could, there);
  if (written) {
    reader.taken = *written - loader_latency + 1;
    words_.free = std::max(could, there) + 1;
    words_.written[words_.count++ % WordQueue::words] = *written;
    way_->advance();
  } else {
    reader.taken = from + burst.job.own;
    if (burst.reader == loader) words_.free = reader.taken;
  }
  return true;
}

/// The engine has taken a burst, whose first beat was there at `begin`.
ReadPort::Received ReadPort::finish(const Asked& burst, double begin) {
  Reader& reader = readers_[burst.reader];
  reader.bursts_taken[reader.bursts_received++ % outstanding] = reader.taken;
  if (burst.last) end_job(burst.reader, reader.taken);
  return {burst.reader, {burst.job.instruction, begin, burst.beats, burst.last, reader.taken, burst.at}};
}

/// A reader has ended its oldest job, and with it those behind that are empty.
void ReadPort::end_job(std::size_t number, double time) {
  Reader& reader = readers_[number];
  do reader.jobs_taken[reader.jobs_received++ % ahead[number]] = time;
  while (reader.jobs_received < reader.jobs_asked && reader.empty_jobs[reader.jobs_received % ahead[number]]);
}

}  // namespace cosoc::conv2d
