#include "kernels/quantized/panels.hpp"

#include <cstring>

#include "kernels/dispatch.hpp"

// Vectors of 32 bytes are passed to functions that are inlined only.
#pragma GCC diagnostic ignored "-Wpsabi"

#if defined(__x86_64__)
#include <immintrin.h>
#else
#include <arm_neon.h>
#endif

namespace cosoc::quantized {
namespace {

/// Registers of pairs of int16 and of as many int32, as values and as they lie in memory; `add` is one instruction for
/// the products of both halves of all pairs, and one addition.
struct Lanes16 {
  using Pairs [[gnu::vector_size(16)]] = short;
  using Sums [[gnu::vector_size(16)]] = int;
  using StoredPairs [[gnu::vector_size(16), gnu::aligned(2), gnu::may_alias]] = short;
  using StoredSums [[gnu::vector_size(16), gnu::aligned(4), gnu::may_alias]] = int;

  [[gnu::always_inline]] static inline void load(Pairs& pairs, const std::int16_t* from) {
    pairs = *reinterpret_cast<const StoredPairs*>(from);
  }
  [[gnu::always_inline]] static inline void store(std::int32_t* to, const Sums& sums) {
    *reinterpret_cast<StoredSums*>(to) = sums;
  }

  [[gnu::always_inline]] static inline void add(Sums& sum, const Pairs& a, const Pairs& b) {
#if defined(__x86_64__)
    sum += reinterpret_cast<Sums>(__builtin_ia32_pmaddwd128(a, b));
#else
    const int32x4_t low = vmull_s16(vget_low_s16(a), vget_low_s16(b));
    sum += vpaddq_s32(low, vmull_high_s16(a, b));
#endif
  }
};

#if defined(__x86_64__)
struct Lanes32 {
  using Pairs [[gnu::vector_size(32)]] = short;
  using Sums [[gnu::vector_size(32)]] = int;
  using StoredPairs [[gnu::vector_size(32), gnu::aligned(2), gnu::may_alias]] = short;
  using StoredSums [[gnu::vector_size(32), gnu::aligned(4), gnu::may_alias]] = int;

  [[gnu::always_inline]] static inline void load(Pairs& pairs, const std::int16_t* from) {
    pairs = *reinterpret_cast<const StoredPairs*>(from);
  }
  [[gnu::always_inline]] static inline void store(std::int32_t* to, const Sums& sums) {
    *reinterpret_cast<StoredSums*>(to) = sums;
  }

  [[gnu::always_inline]] static inline void add(Sums& sum, const Pairs& a, const Pairs& b) {
    sum += reinterpret_cast<Sums>(__builtin_ia32_pmaddwd256(a, b));
  }
};
#endif

/// Some rows by one panel.
template <class Lanes, std::size_t rows>
[[gnu::always_inline]] inline void multiply_tile(const PanelProduct& p, const std::int16_t* first,
                                                 const std::int16_t* panel, std::int32_t* out) {
  using Sums = typename Lanes::Sums;
  using Pairs = typename Lanes::Pairs;
  constexpr std::size_t lanes = sizeof(Sums) / 4;
  constexpr std::size_t parts = panel_columns / lanes;
  Sums sums[rows][parts] = {};
  for (std::size_t k = 0; k < p.length; k += 2, panel += 2 * panel_columns) {
    Pairs weights[parts];
#pragma GCC unroll 4
    for (std::size_t part = 0; part < parts; ++part) Lanes::load(weights[part], panel + part * 2 * lanes);
#pragma GCC unroll 6
    for (std::size_t row = 0; row < rows; ++row) {
      std::int32_t pair;
      std::memcpy(&pair, first + row * p.length + k, sizeof(pair));
      const Sums spread = pair - Sums{};
#pragma GCC unroll 4
      for (std::size_t part = 0; part < parts; ++part) {
        Lanes::add(sums[row][part], reinterpret_cast<Pairs>(spread), weights[part]);
      }
    }
  }
#pragma GCC unroll 6
  for (std::size_t row = 0; row < rows; ++row) {
#pragma GCC unroll 4
    for (std::size_t part = 0; part < parts; ++part) Lanes::store(out + row * p.pitch + part * lanes, sums[row][part]);
  }
}

template <class Lanes>
[[gnu::always_inline]] inline void multiply_all(const PanelProduct& p) {
  for (std::size_t panel = 0; panel < whole_panels(p.channels); ++panel) {
    const std::int16_t* weights = p.packed + panel * panel_columns * p.length;
    std::int32_t* out = p.sums + panel * panel_columns;
    std::size_t row = 0;
    for (; row + tile_rows <= p.count; row += tile_rows) {
      multiply_tile<Lanes, tile_rows>(p, p.rows + row * p.length, weights, out + row * p.pitch);
    }
    for (; row < p.count; ++row) multiply_tile<Lanes, 1>(p, p.rows + row * p.length, weights, out + row * p.pitch);
  }
}

void multiply_baseline(const PanelProduct& p) { multiply_all<Lanes16>(p); }
#if defined(__x86_64__)
[[gnu::target("avx2")]] void multiply_avx2(const PanelProduct& p) { multiply_all<Lanes32>(p); }
#endif

}  // namespace

void multiply(const PanelProduct& product) {
#if defined(__x86_64__)
  static const bool avx2 = __builtin_cpu_supports("avx2") != 0;
  if (avx2) return multiply_avx2(product);
#endif
  multiply_baseline(product);
}

}  // namespace cosoc::quantized
