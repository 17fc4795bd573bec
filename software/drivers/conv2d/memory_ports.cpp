#include "drivers/conv2d/memory_ports.hpp"

#include <algorithm>

namespace cosoc::conv2d {
namespace {

constexpr std::uint64_t longest_burst = 16;
constexpr std::uint64_t page = 256;     // words of 4 KB, whose ends no burst crosses
constexpr double read_overhead = 0.2;   // a read burst keeps its port busy for its beats and this ...
constexpr double read_minimum = 4.138;  // ... but at least for this
/// Accesses that wait for another one at the same bank, by those that would if banks were chosen by chance. The output
/// unit and plain stores walk over the banks as loaders do, so they meet less often; windows stay at some banks.
constexpr double output_conflicts = 0.55;
constexpr double store_conflicts = 0.9;
constexpr double window_conflicts = 1.25;
constexpr double most_conflicts = 0.62;
constexpr double reduction_latency = 10;      // a word's way from the feature buffer through the store engine
constexpr std::uint64_t taken_transfers = 3;  // that a writer takes before the first one has its words
constexpr double request_lead = 20;           // from a store's first request to its first word at the bus
constexpr double lately_cycles = 32;          // so long after its last beat a channel counts as one that moves
constexpr double burst_tolerance = 16;        // beats that memory may move faster than its throughput

/// Beats of 16 bytes per cycle at 300 MHz: the ZCU102's measured bandwidths.
struct Capacity {
  double read;
  double write;
  double mixed;  // half of the beats read, half written
};
constexpr Capacity one_port = {15.87 / 16, 16.0 / 16, 31.1 / 16};
constexpr Capacity two_ports = {31.53 / 16, 32.0 / 16, 42.0 / 16};

}  // namespace

/// Cycles of the memory for a beat, with the channels that move at this time.
double SharedMemory::cost(double now) const {
  const auto moves = [&](std::size_t direction, std::size_t port) {
    return busy_until_[direction][port] + lately_cycles > now ? 1 : 0;
  };
  const int reads = moves(0, 0) + moves(0, 1);
  const int writes = moves(1, 0) + moves(1, 1);
  const bool both = moves(0, 0) + moves(1, 0) > 0 && moves(0, 1) + moves(1, 1) > 0;
  const Capacity& capacity = both ? two_ports : one_port;
  const double minor = 2.0 * std::min(reads, writes) / (reads + writes);
  const double pure = reads >= writes ? capacity.read : capacity.write;
  return 1 / (pure * (1 - minor) + capacity.mixed * minor);
}

double SharedMemory::move(std::size_t port, bool writes, double begin, std::uint64_t beats) {
  const auto amount = static_cast<double>(beats);
  double& busy_until = busy_until_[writes ? 1 : 0][port];
  busy_until = begin + amount * beat_cycles_;
  moved_[writes ? 1 : 0] += beats;
  const double cost_of_beat = cost(begin);
  free_ = std::max(free_, begin) + amount * cost_of_beat;
  return busy_until = std::max(busy_until, free_ - burst_tolerance * cost_of_beat);
}

void BufferBanks::add_output(double now, double begin, double end, double rate) {
  while (!outputs_.empty() && outputs_.front().end <= now) outputs_.pop_front();
  outputs_.push_back({begin, end, rate});
}

double BufferBanks::word_cycles(double now, double stores) const {
  double met = stores;
  for (const Output& output : outputs_) {
    if (output.begin <= now && now < output.end) met += output_conflicts * output.rate;
  }
  return 1 / (1 - std::min(most_conflicts, met / banks_));
}

std::uint64_t BurstQueue::beats() const {
  const PortJob& job = jobs_.front();
  const std::uint64_t row = transfer_ / job.row_transfers;
  const std::uint64_t place = row * job.row_step + transfer_ % job.row_transfers * job.transfer_step;
  return std::min({longest_burst, job.beats - offset_, page - (job.address + place + offset_) % page});
}

const PortJob* BurstQueue::job_of_transfer(std::uint64_t ahead) const {
  ahead += transfer_;
  for (const PortJob& job : jobs_) {
    if (ahead < job.transfers) return &job;
    ahead -= job.transfers;
  }
  return nullptr;
}

bool BurstQueue::take() {
  const PortJob& job = jobs_.front();
  offset_ += beats();
  if (offset_ < job.beats) return false;
  offset_ = 0;
  if (++transfer_ < job.transfers) return false;
  jobs_.pop_front();
  transfer_ = 0;
  return true;
}

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

std::optional<ReadPort::Received> ReadPort::advance(double now, double stores) {
  if (next_received() <= now) return receive(now, stores);
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

ReadPort::Received ReadPort::receive(double now, double stores) {
  const Asked burst = asked_.front();
  asked_.pop_front();
  Reader& reader = readers_[burst.reader];
  const double begin = std::max(burst.due, free_);
  const double end = memory_.move(number_, false, begin, burst.beats);
  free_ = std::max(end + read_overhead, begin + read_minimum);
  if (burst.reader != instructions) starved_.add(std::max(reader.taken, burst.at + 1), begin);
  if (burst.first) reader.taken += 1;
  const double cycles = burst.job.own * (burst.job.planes ? banks_.word_cycles(now, stores) : 1);
  const double work = cycles * static_cast<double>(burst.beats);
  if (burst.reader != instructions) starved_.add(std::max(reader.taken, begin) + work, end);
  reader.taken = std::max(end, std::max(reader.taken, begin) + work);
  reader.bursts_taken[reader.bursts_received++ % outstanding] = reader.taken;
  if (burst.last) reader.jobs_taken[reader.jobs_received++ % ahead[burst.reader]] = reader.taken;
  return {burst.reader, {burst.job.instruction, begin, burst.beats, burst.last, reader.taken, burst.at}};
}

double WritePort::conflicts(double now) const {
  if (queue_.empty() || now < queue_.front().at - reduction_latency) return 0;
  return queue_.front().own > 1 ? window_conflicts : store_conflicts;
}

double WritePort::next() const {
  if (queue_.empty()) return never;
  const double from = std::max({left_, queue_.front().at, ends_[bursts_ % outstanding]});
  const double cycles = queue_.front().own * (queue_.front().planes ? banks_.word_cycles(from, 0) : 1);
  return from + cycles * static_cast<double>(queue_.beats());
}

Burst WritePort::serve(double now) {
  Burst burst = {.instruction = queue_.front().instruction, .beats = queue_.beats()};
  if (queue_.ends_transfer()) {
    const PortJob* waiting = queue_.job_of_transfer(taken_transfers);
    if (waiting != nullptr) blocked_.add(std::max(waiting->at - request_lead, issued_ + 1), now);
    issued_ = now;
  }
  burst.last = queue_.take();
  left_ = now;
  burst.begin = std::max(now, free_);
  free_ = memory_.move(number_, true, burst.begin, burst.beats);
  burst.done = free_ + memory_.latency();
  ends_[bursts_++ % outstanding] = free_;
  return burst;
}

}  // namespace cosoc::conv2d
