/// What the tests of XNNPACK's kernels share. Without its library the same holds for our own kernels.
#pragma once

#include <sys/mman.h>
#include <unistd.h>

#include <cmath>
#include <limits>
#include <vector>

#include "support.hpp"

namespace cosoc::test {

/// Floats between two pages that nobody may touch; they end at the second one, or begin behind the first.
class Fenced {
 public:
  Fenced(std::int64_t count, bool at_end) {
    const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
    const std::size_t bytes = static_cast<std::size_t>(count) * sizeof(float);
    const std::size_t room = (bytes + page - 1) / page * page;
    size_ = room + 2 * page;
    base_ = ::mmap(nullptr, size_, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    REQUIRE(base_ != MAP_FAILED);
    std::byte* const inside = static_cast<std::byte*>(base_) + page;
    REQUIRE(::mprotect(inside, room, PROT_READ | PROT_WRITE) == 0);
    block_ = {.data = inside + (at_end ? room - bytes : 0), .size = bytes};
  }
  ~Fenced() { ::munmap(base_, size_); }
  Fenced(const Fenced&) = delete;
  Fenced& operator=(const Fenced&) = delete;

  float* data() const { return block_.as<float>(); }
  TensorView view(const TensorType& type) const { return {.type = &type, .block = block_}; }

 private:
  void* base_ = nullptr;
  std::size_t size_ = 0;
  Block block_;
};

/// Values that XNNPACK takes.
inline void fill(float* values, std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i) values[i] = static_cast<float>(i * 7 % 23) * 0.25F - 2.75F;
}

inline constexpr float infinity = std::numeric_limits<float>::infinity();
inline constexpr float not_a_number = std::numeric_limits<float>::quiet_NaN();
/// What XNNPACK has other results for, and numbers near to it.
inline const std::vector<float> specials = {not_a_number, infinity,   -infinity, 0.0F,     -0.0F,        0x1p-149F,
                                            -1e-40F,      0x1p-126F,  1e-20F,    -1e-20F,  3.4e38F,      -3.4e38F,
                                            -87.3F,       -87.4F,     -95.0F,    -104.0F,  -1e30F,       88.0F,
                                            0x1p-101F,    -0x1p-101F, 0x1p100F,  0x1p120F, -0x1.8p-120F, -1e-8F};

inline bool is_near(double found, double expected, double room) {
  if (std::isnan(expected) || std::isinf(expected)) {
    return std::isnan(expected) ? std::isnan(found) : found == expected;
  }
  return std::abs(found - expected) <= room;
}

}  // namespace cosoc::test
