/// Who has which place in the buffers of the Conv2D engine.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>

namespace cosoc::conv2d {

/// Words of the feature buffer.
struct Region {
  std::int64_t begin = 0;
  std::int64_t words = 0;
};

/// Hands out regions of the feature buffer. Data hazards are the assembler's matter; the allocator keeps apart what
/// is alive, and prefers places that nobody uses any more.
class FeatureAllocator {
 public:
  explicit FeatureAllocator(std::int64_t words);

  /// A region that will be needed at the given estimated cycle: one whose former users are finished by then, else the
  /// one that is free first. None when no gap is large enough.
  std::optional<Region> allocate(std::int64_t words, double needed_at);
  /// Tells that an instruction uses the region until the given estimated cycle.
  void use(const Region& region, double until);
  void release(const Region& region);

  /// Words that are not alive.
  std::int64_t free_words() const;

  /// What is alive, without the times.
  FeatureAllocator without_times() const;

 private:
  struct Part {
    bool alive = false;
    double busy_until = 0;
  };
  /// Parts by their beginning; each ends where the next one begins.
  using Parts = std::map<std::int64_t, Part>;

  Parts::iterator split(std::int64_t at);
  /// When words begin .. begin + words - 1 are free; none when something there is alive.
  std::optional<double> free_at(std::int64_t begin, std::int64_t words) const;

  std::int64_t words_;
  Parts parts_;
};

/// Keeps segments of constants in a buffer, the oldest ones give way.
class SegmentCache {
 public:
  explicit SegmentCache(std::int64_t capacity) : capacity_(capacity) {}

  /// The address of a segment that is in the buffer.
  std::optional<std::int64_t> find(std::int64_t key) const;
  /// Makes room for a segment of at most the buffer's size. The address may be such that the segment goes on at 0.
  std::int64_t insert(std::int64_t key, std::int64_t size);

 private:
  struct Segment {
    std::int64_t key;
    std::int64_t address;
    std::int64_t size;
  };

  std::int64_t capacity_;
  std::int64_t next_ = 0;
  std::int64_t used_ = 0;
  std::deque<Segment> segments_;
};

}  // namespace cosoc::conv2d
