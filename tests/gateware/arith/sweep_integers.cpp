// Compares the Verilated divider of integers with integer arithmetic, on many random operands of which a part lies in
// the corners.
//
//   sweep PATTERNS SEED [truncate]
//
// Prints the first differences, and exits with 1 when there are any. With `truncate` the reference does not round, so
// that a comparison that works must fail.

#include <algorithm>
#include <array>
#include <cinttypes>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <string_view>

#include "Vinteger_divide.h"
#include "verilated.h"

namespace {

using Random = std::mt19937_64;
using Wide = unsigned __int128;

constexpr std::uint64_t most_divisor = std::uint64_t{1} << 31;
constexpr std::size_t max_reports = 5;

bool truncates = false;

struct Operands {
  std::uint64_t a = 0;  // of a root 2^16 times the radicand
  std::uint32_t d = 0;
  bool negative = false;
  bool root = false;
  unsigned shift = 0;
};

/// Up to `most`, of any size, at times near a power of two or near `most`.
std::uint64_t any(Random& random, std::uint64_t most) {
  const auto size = static_cast<unsigned>(random() % 64);
  switch (random() % 4) {
    case 0:
      return std::min(most,
                      (std::uint64_t{1} << size) + random() % 5 - std::min<std::uint64_t>(2, std::uint64_t{1} << size));
    case 1:
      return most - std::min<std::uint64_t>(most, random() % 4);
    default:
      return std::min(most, random() >> size);
  }
}

Operands operands(Random& random) {
  Operands x;
  x.root = random() % 3 == 0;
  x.shift = static_cast<unsigned>(random() % 32);
  x.negative = !x.root && random() % 2 == 0;
  x.d = static_cast<std::uint32_t>(any(random, most_divisor));
  if (x.root) {
    const std::uint64_t near = any(random, 46340);
    x.a = (random() % 2 == 0 ? std::min(most_divisor, near * near + random() % 3) : any(random, most_divisor)) << 16;
  } else {
    x.a = any(random, (std::uint64_t{1} << 62) - 1);
    // Half of all quotients are near a tie, within 16 bits.
    const std::uint64_t quotient = 2 * (random() % 32770) + 1;
    if (x.d > 1 && random() % 2 == 0) x.a = (quotient * x.d + random() % 3 - 1) / 2;
  }
  return x;
}

std::uint64_t quotient(const Operands& x) {
  if (x.a == 0) return 0;
  if (x.d == 0) return UINT64_MAX;
  const std::uint64_t whole = x.a / x.d;
  const std::uint64_t rest = 2 * (x.a % x.d);
  const bool up = rest > x.d || (rest == x.d && whole % 2 == 1);
  return whole + (up && !truncates ? 1 : 0);
}

std::uint64_t root(const Operands& x) {
  const std::uint64_t radicand = x.a >> 16;
  auto floor = static_cast<std::uint64_t>(std::sqrt(static_cast<double>(radicand)));
  const std::uint64_t whole = floor >> x.shift;
  const Wide middle = static_cast<Wide>(2 * whole + 1) << x.shift;
  const Wide square = middle * middle, exact = static_cast<Wide>(radicand) * 4;
  const bool up = exact > square || (exact == square && whole % 2 == 1);
  return whole + (up && !truncates ? 1 : 0);
}

std::uint16_t expected(const Operands& x) {
  const std::uint64_t magnitude = std::min<std::uint64_t>(x.root ? root(x) : quotient(x), 1 << 20);
  const std::int64_t value = x.negative ? -static_cast<std::int64_t>(magnitude) : static_cast<std::int64_t>(magnitude);
  return static_cast<std::uint16_t>(std::clamp<std::int64_t>(value, INT16_MIN, INT16_MAX));
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) return 2;
  const std::uint64_t patterns = std::strtoull(argv[1], nullptr, 10);
  truncates = argc > 3 && std::string_view(argv[3]) == "truncate";
  Random random(std::strtoull(argv[2], nullptr, 10));
  Vinteger_divide unit;
  std::array<Operands, LATENCY> waiting;
  std::uint64_t differences = 0, ties = 0;
  unit.en = 1;
  for (std::uint64_t cycle = 0; cycle < patterns + LATENCY; ++cycle) {
    if (cycle >= LATENCY) {
      const Operands& x = waiting[cycle % LATENCY];
      if (!x.root && x.d != 0 && 2 * (x.a % x.d) == x.d) ++ties;
      if (unit.o != expected(x) && ++differences <= max_reports) {
        std::printf("%s of %" PRIu64 " by %u, negative %d, shift %u: %d, expected %d\n", x.root ? "root" : "quotient",
                    x.a, x.d, x.negative, x.shift, static_cast<std::int16_t>(unit.o),
                    static_cast<std::int16_t>(expected(x)));
      }
    }
    const Operands x = operands(random);
    waiting[cycle % LATENCY] = x;
    unit.a = x.a;
    unit.d = x.d;
    unit.negative = x.negative;
    unit.root = x.root;
    unit.shift = x.shift;
    unit.clk = 0;
    unit.eval();
    unit.clk = 1;
    unit.eval();
  }
  std::printf("%" PRIu64 " patterns; differences: %" PRIu64 "\n", patterns, differences);
  if (ties < patterns / 100) std::printf("only %" PRIu64 " ties\n", ties);
  return differences == 0 ? 0 : 1;
}
