// Compares the Verilated block-floating-point operators with a plain implementation, on many random operands of which a
// part lies in the corners.
//
//   sweep PATTERNS SEED [truncate]
//
// Prints the first differences of each operator, and exits with 1 when there are any. With `truncate` the reference
// does not round, so that a comparison that works must fail. BITS are those of a mantissa.

#include <algorithm>
#include <array>
#include <bit>
#include <cinttypes>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <string_view>

#include "Vblock_operators.h"
#include "verilated.h"

namespace {

using Random = std::mt19937_64;
using Integer = std::int64_t;

constexpr Integer largest = (Integer{1} << (BITS - 1)) - 1;
constexpr Integer smallest = -largest - 1;
constexpr int exponent_offset = 64;
constexpr std::size_t max_reports = 5;  // of each operator

struct Operator {
  const char* name;
  std::size_t latency;
};
constexpr std::array<Operator, 5> operators = {{{"loaded", LATENCY_LOADED},
                                                {"sum", LATENCY_SUM},
                                                {"product", LATENCY_PRODUCT},
                                                {"stored", LATENCY_STORED},
                                                {"eighth", LATENCY_EIGHTH}}};
constexpr std::size_t stored_index = 3;

bool truncates = false;

struct Block {
  Integer re = 0;
  Integer im = 0;
  int exponent = 0;
  bool invalid = false;

  std::uint64_t bits() const {
    const std::uint64_t mask = (std::uint64_t{1} << BITS) - 1;
    const auto field = static_cast<std::uint64_t>(exponent + exponent_offset);
    return (static_cast<std::uint64_t>(re) & mask) | (static_cast<std::uint64_t>(im) & mask) << BITS |
           field << (2 * BITS) | std::uint64_t{invalid} << (2 * BITS + 10);
  }
};

bool fits(Integer value, int bits) { return value >= -(Integer{1} << (bits - 1)) && value < Integer{1} << (bits - 1); }

/// value / 2^places, rounded to nearest even; at most the largest mantissa.
Integer rounded(Integer value, int places) {
  const Integer unit = Integer{1} << places;
  const Integer floor = (value - ((value % unit) + unit) % unit) / unit;
  const Integer twice_rest = 2 * (value - floor * unit);
  const bool up = !truncates && (twice_rest > unit || (twice_rest == unit && floor % 2 != 0));
  return std::min(floor + (up ? 1 : 0), largest);
}

/// mantissa * 8 / 2^distance, the last bit set when a one is lost.
Integer aligned(Integer mantissa, int distance) {
  const Integer unit = Integer{1} << std::min(distance, 40);
  const Integer value = 8 * mantissa;
  const Integer floor = (value - ((value % unit) + unit) % unit) / unit;
  return floor * unit == value ? floor : floor | 1;
}

Block sum(const Block& a, const Block& b, bool subtract, bool turn, bool keep) {
  if (keep && !turn) return a;
  const int exponent = std::max(a.exponent, b.exponent);
  const auto part = [&](Integer x, Integer y, int sign_x, int sign_y) {
    return sign_x * aligned(x, exponent - a.exponent) + sign_y * aligned(y, exponent - b.exponent);
  };
  const int sign = subtract ? -1 : 1;
  const Integer re = turn ? part(a.im, b.im, 1, sign) : part(a.re, b.re, 1, sign);
  const Integer im = turn ? part(a.re, b.re, sign, 1) : part(a.im, b.im, 1, sign);
  int places = 4;
  while (places > 1 && fits(re, BITS + places - 1) && fits(im, BITS + places - 1)) --places;
  return {rounded(re, places), rounded(im, places), exponent + places - 3, a.invalid || b.invalid};
}

Block product(const Block& a, Integer w_re, Integer w_im) {
  const Integer re = a.re * w_re - a.im * w_im;
  const Integer im = a.re * w_im + a.im * w_re;
  const int right = fits(re, BITS + 17) && fits(im, BITS + 17) ? 0 : 1;
  return {rounded(re, 17 + right), rounded(im, 17 + right), a.exponent + right, a.invalid};
}

/// A product with a power of exp(-2 pi i / 8); the power 0 changes nothing.
Block eighth(const Block& a, unsigned power) {
  constexpr Integer one = 0x20000, root_half = 92682;
  switch (power) {
    case 0:
      return a;
    case 1:
      return product(a, root_half, -root_half);
    case 2:
      return product(a, 0, -one);
    default:
      return product(a, -root_half, -root_half);
  }
}

int biased_exponent(float x) { return std::max(1, static_cast<int>(std::bit_cast<std::uint32_t>(x) >> 23 & 0xff)); }

Block loaded(float re, float im) {
  const int exponent = std::max(biased_exponent(re), biased_exponent(im));
  const bool invalid = !std::isfinite(re) || !std::isfinite(im);
  const auto part = [&](float x) {
    const double units = std::ldexp(std::abs(double{x}), 125 + BITS - exponent);
    const Integer magnitude = std::min(static_cast<Integer>(truncates ? units : std::nearbyint(units)), largest);
    return std::signbit(x) ? -magnitude : magnitude;
  };
  if (invalid) return {0, 0, exponent, true};
  return {part(re), part(im), exponent, false};
}

std::uint32_t stored(Integer mantissa, const Block& a, int shift) {
  if (a.invalid) return 0x7fc00000;
  const double exact = std::ldexp(static_cast<double>(mantissa), a.exponent - 125 - BITS - shift);
  const auto value = static_cast<float>(exact);
  if (truncates && std::abs(double{value}) > std::abs(exact)) return std::bit_cast<std::uint32_t>(value) - 1;
  return std::bit_cast<std::uint32_t>(value);
}

Integer random_mantissa(Random& random) {
  constexpr std::array<Integer, 8> corners = {0, 1, -1, largest, smallest, largest - 1, largest / 2, smallest / 2};
  if (random() % 8 == 0) return corners[random() % corners.size()];
  const Integer full = static_cast<Integer>(random() % (std::uint64_t{1} << BITS)) + smallest;
  return full / (Integer{1} << (random() % 4 == 0 ? random() % BITS : 0));
}

Block random_block(Random& random, int exponent) {
  return {random_mantissa(random), random_mantissa(random), std::clamp(exponent, 33 - exponent_offset, 900),
          random() % 64 == 0};
}

struct Operands {
  std::array<std::uint32_t, 2> x;
  Block a;
  Block b;
  Integer w_re;
  Integer w_im;
  bool subtract;
  bool turn;
  bool keep;
  int shift;
  unsigned power;
};

Operands operands(Random& random) {
  Operands result{};
  const auto bits = static_cast<std::uint32_t>(random());
  const std::uint32_t distance = random() % 30 << 23;
  const auto other = static_cast<std::uint32_t>(random());
  result.x = {random() % 8 == 0 ? bits & 0x807fffff : bits,
              random() % 2 == 0 ? other : (other & 0x807fffff) | ((bits - distance) & 0x7f800000)};
  // The ends of the range of float32, or anywhere; the second exponent is mostly near the first one.
  const int exponent = random() % 4 == 0 ? static_cast<int>(random() % 60) - 30 : static_cast<int>(random() % 320);
  result.a = random_block(random, exponent);
  result.b = random_block(random, exponent + static_cast<int>(random() % 9 == 0 ? random() % 300 : random() % 65) - 32);
  const double angle = static_cast<double>(random()) / 0x1p64 * 6.283185307179586;
  result.w_re = std::clamp<Integer>(std::llround(std::cos(angle) * 0x1p17), -0x20000, 0x1ffff);
  result.w_im = std::clamp<Integer>(std::llround(std::sin(angle) * 0x1p17), -0x20000, 0x1ffff);
  result.keep = random() % 8 == 0;
  result.subtract = !result.keep && random() % 2 == 0;
  result.turn = result.subtract && random() % 2 == 0;
  result.shift = static_cast<int>(random() % 32);
  result.power = static_cast<unsigned>(random() % 4);
  return result;
}

/// One result of each operator, in their order; what an invalid block holds besides does not matter.
using Results = std::array<std::uint64_t, operators.size()>;

Results compute(const Operands& x) {
  return {loaded(std::bit_cast<float>(x.x[0]), std::bit_cast<float>(x.x[1])).bits(),
          sum(x.a, x.b, x.subtract, x.turn, x.keep).bits(), product(x.a, x.w_re, x.w_im).bits(),
          stored(x.a.re, x.a, x.shift) | std::uint64_t{stored(x.a.im, x.a, x.shift)} << 32,
          eighth(x.a, x.power).bits()};
}

bool same(std::size_t index, std::uint64_t found, std::uint64_t expected) {
  constexpr std::uint64_t invalid = std::uint64_t{1} << (2 * BITS + 10);
  const bool block = index != stored_index;
  return found == expected || (block && (found & invalid) != 0 && (expected & invalid) != 0);
}

/// Keeps the latest expected results until those of the operators come out.
class Sweep {
 public:
  explicit Sweep(std::uint64_t seed) : random_(seed) { model_.rst = 0; }

  /// Runs `patterns` operands; returns whether all results were as expected.
  bool run(std::size_t patterns) {
    for (std::size_t given = 0; given < patterns + history;) {
      const Operands next = operands(random_);
      model_.en = random_() % 8 != 0;
      drive(next);
      model_.clk = 0;
      model_.eval();
      model_.clk = 1;
      model_.eval();
      if (!model_.en) continue;
      past_[given % history] = compute(next);
      compare(++given);
    }
    std::printf("%zu patterns; differences:", patterns);
    for (std::size_t i = 0; i < operators.size(); ++i) std::printf(" %s %zu", operators[i].name, differences_[i]);
    std::printf("\n");
    return std::ranges::all_of(differences_, [](std::size_t count) { return count == 0; });
  }

 private:
  static constexpr std::size_t history = 16;  // above every latency

  void drive(const Operands& next) {
    model_.x = next.x[0] | std::uint64_t{next.x[1]} << 32;
    model_.a = next.a.bits();
    model_.b = next.b.bits();
    model_.w = (static_cast<std::uint64_t>(next.w_re) & 0x3ffff) | (static_cast<std::uint64_t>(next.w_im) & 0x3ffff)
                                                                       << 18;
    model_.subtract = next.subtract;
    model_.turn = next.turn;
    model_.keep = next.keep;
    model_.shift = static_cast<std::uint8_t>(next.shift);
    model_.power = static_cast<std::uint8_t>(next.power);
  }

  void compare(std::size_t given) {
    const Results found = {model_.loaded, model_.sum, model_.product, model_.stored, model_.eighth};
    for (std::size_t i = 0; i < operators.size(); ++i) {
      if (given < operators[i].latency) continue;
      const std::uint64_t expected = past_[(given - operators[i].latency) % history][i];
      if (same(i, found[i], expected) || differences_[i]++ >= max_reports) continue;
      std::printf("%s: %" PRIx64 ", expected %" PRIx64 "\n", operators[i].name, found[i], expected);
    }
  }

  Vblock_operators model_;
  Random random_;
  std::array<Results, history> past_{};
  std::array<std::size_t, operators.size()> differences_{};
};

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) {
    std::fprintf(stderr, "usage: sweep PATTERNS SEED [truncate]\n");
    return 2;
  }
  truncates = argc > 3 && std::string_view(argv[3]) == "truncate";
  const std::size_t patterns = std::strtoull(argv[1], nullptr, 10);
  return Sweep(std::strtoull(argv[2], nullptr, 10)).run(patterns) ? 0 : 1;
}
