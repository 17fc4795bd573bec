#include "drivers/conv2d/buffers.hpp"

#include <algorithm>
#include <vector>

namespace cosoc::conv2d {

FeatureAllocator::FeatureAllocator(std::int64_t words) : words_(words), parts_{{0, {}}, {words, {true, 0}}} {}

FeatureAllocator::Parts::iterator FeatureAllocator::split(std::int64_t at) {
  const auto next = parts_.lower_bound(at);
  if (next->first == at) return next;
  return parts_.emplace_hint(next, at, std::prev(next)->second);
}

std::optional<double> FeatureAllocator::free_at(std::int64_t begin, std::int64_t words) const {
  double time = 0;
  for (auto part = std::prev(parts_.upper_bound(begin)); part->first < begin + words; ++part) {
    if (part->second.alive) return {};
    time = std::max(time, part->second.busy_until);
  }
  return time;
}

std::optional<Region> FeatureAllocator::allocate(std::int64_t words, double needed_at) {
  std::vector<std::int64_t> candidates;
  for (const auto& [begin, part] : parts_) {
    if (begin + words <= words_) candidates.push_back(begin);
    if (begin >= words) candidates.push_back(begin - words);
  }
  std::ranges::sort(candidates);
  std::optional<std::int64_t> best;
  double best_time = 0;
  for (const std::int64_t begin : candidates) {
    const auto time = free_at(begin, words);
    if (!time) continue;
    const double late = std::max(*time, needed_at);
    if (!best || late < best_time) {
      best = begin;
      best_time = late;
    }
  }
  if (!best) return {};
  const auto first = split(*best);
  const auto end = split(*best + words);
  parts_.erase(std::next(first), end);
  first->second = {true, best_time};
  return Region{*best, words};
}

void FeatureAllocator::use(const Region& region, double until) {
  auto& part = parts_.at(region.begin);
  part.busy_until = std::max(part.busy_until, until);
}

void FeatureAllocator::release(const Region& region) { parts_.at(region.begin).alive = false; }

std::int64_t FeatureAllocator::free_words() const {
  std::int64_t free = 0;
  for (auto part = parts_.begin(); part->first < words_; ++part) {
    if (!part->second.alive) free += std::next(part)->first - part->first;
  }
  return free;
}

FeatureAllocator FeatureAllocator::without_times() const {
  FeatureAllocator copy = *this;
  for (auto& [begin, part] : copy.parts_) part.busy_until = 0;
  return copy;
}

std::optional<std::int64_t> SegmentCache::find(std::int64_t key) const {
  for (const Segment& segment : segments_) {
    if (segment.key == key) return segment.address;
  }
  return {};
}

std::int64_t SegmentCache::insert(std::int64_t key, std::int64_t size) {
  while (used_ + size > capacity_) {
    used_ -= segments_.front().size;
    segments_.pop_front();
  }
  const Segment segment = {key, next_, size};
  segments_.push_back(segment);
  used_ += size;
  next_ = (next_ + size) % capacity_;
  return segment.address;
}

}  // namespace cosoc::conv2d
