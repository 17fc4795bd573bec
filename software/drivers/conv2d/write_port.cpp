#include "drivers/conv2d/write_port.hpp"

#include <algorithm>

namespace cosoc::conv2d {
namespace {

constexpr double reduction_latency = 14;      // a word's way from the feature buffer through the store engine
constexpr std::uint64_t taken_transfers = 3;  // that a writer takes before the first one has its words
constexpr double response_latency = 8;        // from the response of a burst to one that waits for it
constexpr double request_lead = 17;           // from a store's first request to its first word at the bus

}  // namespace

void WritePort::push(const PortJob& job) {
  queue_.push(job);
  walk_.push(job);
  if (left_.empty()) walk(0);
}

void WritePort::walk(double until) {
  while (!walk_.empty() && sent_.size() + left_.size() < outstanding) {
    if (walked_ == 0) {
      if (walk_.at_start()) way_.emplace(*walk_.front().tile);
      const double could = std::max(word_left_, walk_.front().at);
      word_left_ = std::max(could, ends_[(bursts_ + sent_.size() + left_.size()) % outstanding]);
      blocked_.add(could, word_left_);
    }
    if (!left_.empty() && word_left_ >= until) return;
    walk_word();
    if (++walked_ < walk_.beats()) continue;
    walked_ = 0;
    left_.push_back(word_left_);
    walk_.take();
  }
}

/// Reads the positions of a word's window.
void WritePort::walk_word() {
  const TileWalk& way = *way_;
  double at = word_left_ - reduction_latency;
  for (std::uint32_t row = 0; row < way.rows(); ++row) {
    for (std::uint32_t column = 0; column < way.columns(); ++column) {
      at = banks_.read(at, way.address() + row * way.row_pitch() + column) + 1;
    }
  }
  if (way.rows() * way.columns() == 0) at += 1;
  word_left_ = at + reduction_latency;
  way_->advance();
}

double WritePort::next_issue() const {
  if (left_.empty() || sent_.size() >= accepted) return never;
  const double sent = ends_[(bursts_ + sent_.size()) % outstanding];
  return std::max(left_.front(), sent + memory_.latency() + response_latency);
}

double WritePort::next() const {
  double next = next_issue();
  if (moves_) return std::min(next, memory_.next(number_, SharedMemory::write));
  if (!sent_.empty()) next = std::min(next, std::max(sent_.front().begin, free_));
  return next;
}

std::optional<Burst> WritePort::serve(double now) {
  if (next_issue() <= now) issue(now);
  if (moves_) {
    const auto moved = memory_.take(number_, SharedMemory::write);
    if (!moved) return {};
    Burst burst = sent_.front();
    sent_.pop_front();
    moves_ = false;
    free_ = moved->end;
    burst.done = free_ + memory_.latency();
    ends_[bursts_++ % outstanding] = free_;
    if (left_.empty()) walk(0);
    return burst;
  }
  if (!sent_.empty() && std::max(sent_.front().begin, free_) <= now) {
    memory_.begin(number_, SharedMemory::write, std::max(sent_.front().begin, free_), sent_.front().beats);
    moves_ = true;
  }
  return {};
}

/// A burst has all its words: it is sent, and when it is the last one of its transfer, another transfer is taken.
void WritePort::issue(double now) {
  Burst burst = {
      .instruction = queue_.front().instruction, .begin = now + memory_.conversion(), .beats = queue_.beats()};
  if (queue_.ends_transfer()) {
    const PortJob* waiting = queue_.job_of_transfer(taken_transfers);
    if (waiting != nullptr) blocked_.add(std::max(waiting->at - request_lead, issued_ + 1), now);
    issued_ = now;
  }
  burst.last = queue_.take();
  sent_.push_back(burst);
  left_.pop_front();
  if (left_.empty()) walk(0);
}

}  // namespace cosoc::conv2d
