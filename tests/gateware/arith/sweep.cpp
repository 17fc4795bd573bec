// Compares the Verilated operators with the host's float arithmetic on many operands: all pairs of corners, then random
// numbers.
//
//   sweep PATTERNS SEED [upward]
//
// Prints the first differences of each operator, and exits with 1 when there are any. With `upward` the host rounds
// upward, so that a comparison that works must fail.

#include <array>
#include <bit>
#include <cfenv>
#include <cinttypes>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <string_view>
#include <utility>

#include "Voperators.h"
#include "verilated.h"

namespace {

using Bits = std::uint32_t;
using Random = std::mt19937_64;

constexpr std::array<Bits, 20> corner_magnitudes = {0,          1,          0x1fffff,   0x200000,   0x200001,
                                                    0x400000,   0x7fffff,   0x800000,   0x800001,   0x33800000,
                                                    0x34000000, 0x3f7fffff, 0x3f800000, 0x3f800001, 0x7e800000,
                                                    0x7e800001, 0x7f7fffff, 0x7f800000, 0x7f800001, 0x7fc12345};
constexpr std::size_t corners = 2 * corner_magnitudes.size();
constexpr std::size_t max_reports = 5;  // of each operator

struct Operator {
  const char* name;
  std::size_t latency;
};
constexpr std::array<Operator, 10> operators = {{{"sum", LATENCY_SUM},
                                                 {"product", LATENCY_PRODUCT},
                                                 {"reciprocal", LATENCY_RECIPROCAL},
                                                 {"complex_product", LATENCY_COMPLEX_PRODUCT},
                                                 {"scaled", LATENCY_SCALED},
                                                 {"complex_sum", LATENCY_COMPLEX_SUM},
                                                 {"root_half", LATENCY_ROOT_HALF},
                                                 {"eighth", LATENCY_EIGHTH},
                                                 {"norm", LATENCY_NORM},
                                                 {"quotient", LATENCY_QUOTIENT}}};
constexpr std::size_t norm_index = 8;
constexpr float root_half = 0.70710678F;

float number(Bits bits) { return std::bit_cast<float>(bits); }

/// The encoding of a result, every NaN as 0x7FC00000.
Bits canonical(float value) { return std::isnan(value) ? 0x7fc00000 : std::bit_cast<Bits>(value); }

Bits corner(std::size_t index) { return corner_magnitudes[index / 2] | static_cast<Bits>(index % 2) << 31; }

struct Complex {
  Bits re;
  Bits im;

  std::uint64_t bits() const { return std::uint64_t{im} << 32 | re; }
};

struct Operands {
  Complex a;
  Complex b;
  bool negate;
};

/// One result of each operator, in their order.
using Results = std::array<std::uint64_t, operators.size()>;

/// A number whose exponent lies near the one that makes the operation with `a` hard: close to that of `a`, so that a
/// sum aligns or cancels; or such that the product is near the smallest or largest number.
Bits partner(Bits a, Random& random) {
  const Bits bits = static_cast<Bits>(random());
  const int exponent = static_cast<int>(a >> 23 & 0xff);
  int chosen = 0;
  switch (random() % 4) {
    case 0:
      return bits;
    case 1:
      chosen = exponent + static_cast<int>(random() % 55) - 27;
      break;
    case 2:
      chosen = 127 - exponent + static_cast<int>(random() % 32) - 28;
      break;
    default:
      chosen = 381 - exponent + static_cast<int>(random() % 32) - 28;
      break;
  }
  return (bits & 0x807fffff) | static_cast<Bits>(chosen < 0 ? 0 : chosen > 255 ? 255 : chosen) << 23;
}

std::pair<Bits, Bits> random_pair(Random& random) {
  Bits a = static_cast<Bits>(random());
  if (random() % 8 == 0) a &= 0x807fffff;
  Bits b = partner(a, random);
  if (random() % 8 == 0) b &= 0xfff00000;
  return {a, b};
}

Operands operands(std::size_t index, Random& random) {
  const auto [a_im, b_im] = random_pair(random);
  auto [a_re, b_re] = random_pair(random);
  if (index < corners * corners) {
    a_re = corner(index / corners);
    b_re = corner(index % corners);
  }
  return {{a_re, a_im}, {b_re, b_im}, random() % 2 == 0};
}

/// Of the operands a sum, a difference, the difference times -i, or the first one.
Complex complex_sum(const Operands& x) {
  const float a_re = number(x.a.re), a_im = number(x.a.im), b_re = number(x.b.re), b_im = number(x.b.im);
  if (x.negate && (x.b.im & 0x20) != 0) return {canonical(a_im - b_im), canonical(b_re - a_re)};
  if (x.negate) return {canonical(a_re - b_re), canonical(a_im - b_im)};
  if ((x.b.im & 0x40) != 0) return {canonical(a_re), canonical(a_im)};
  return {canonical(a_re + b_re), canonical(a_im + b_im)};
}

/// A product with a power of exp(-2 pi i / 8).
Complex eighth(const Operands& x) {
  constexpr std::array<std::array<float, 2>, 4> factors = {
      {{1, 0}, {root_half, -root_half}, {0, -1}, {-root_half, -root_half}}};
  const std::size_t power = x.b.im >> 7 & 3;
  const float re = number(x.a.re), im = number(x.a.im), w_re = factors[power][0], w_im = factors[power][1];
  if (power == 0) return {canonical(re), canonical(im)};
  const float re_re = re * w_re, im_im = im * w_im, im_re = im * w_re, re_im = re * w_im;
  return {canonical(re_re - im_im), canonical(im_re + re_im)};
}

/// The upper 27 bits of a positive number; one more in the last place where the host rounds upward.
double cut(double value) {
  constexpr std::uint64_t below = (std::uint64_t{1} << 26) - 1;
  if (!std::isfinite(value)) return value;
  const auto bits = std::bit_cast<std::uint64_t>(value);
  const bool up = std::fegetround() == FE_UPWARD && (bits & below) != 0;
  return std::bit_cast<double>((bits & ~below) + (up ? below + 1 : 0));
}

bool takes_parts(const Operands& x) { return (x.b.im & 0x200) != 0; }

/// What is divided by: the norm of b, or its real part.
double divisor(const Operands& x) {
  const double re = number(x.b.re), im = number(x.b.im);
  return takes_parts(x) ? re : cut(cut(re * re) + cut(im * im));
}

/// A wide number: significand of 27 bits, exponent of 10, and sign, zero, infinity and NaN.
std::uint64_t wide(double value) {
  if (std::isnan(value)) return std::uint64_t{8} << 37;
  const std::uint64_t flags =
      std::uint64_t{std::isinf(value)} << 2 | std::uint64_t{value == 0} << 1 | std::uint64_t{std::signbit(value)};
  if (flags >= 2) return flags << 37;
  int exponent = 0;
  const double fraction = std::frexp(std::abs(value), &exponent);
  return static_cast<std::uint64_t>(fraction * 0x1p27) | (static_cast<std::uint64_t>(exponent - 1) & 0x3ff) << 27 |
         flags << 37;
}

/// The same without what does not count beside a flag.
std::uint64_t wide(std::uint64_t found) {
  const std::uint64_t flags = found >> 37;
  if (flags >= 8) return std::uint64_t{8} << 37;
  return flags >= 2 ? flags << 37 : found;
}

float quotient(const Operands& x) {
  const double d = divisor(x);
  const bool root = x.negate && !takes_parts(x);
  return static_cast<float>(root ? std::sqrt(d) : double{number(x.a.re)} / d);
}

Results compute(const Operands& x) {
  const float a_re = number(x.a.re), a_im = number(x.a.im), b_re = number(x.b.re), b_im = number(x.b.im);
  const float re_re = a_re * b_re, im_im = a_im * b_im, im_re = a_im * b_re, re_im = a_re * b_im;
  const Complex product = {canonical(x.negate ? re_re + im_im : re_re - im_im),
                           canonical(x.negate ? im_re - re_im : im_re + re_im)};
  return {canonical(x.negate ? a_re - b_re : a_re + b_re),
          canonical(re_re),
          canonical(1.0F / a_re),
          product.bits(),
          canonical(static_cast<float>(std::ldexp(double{a_re}, -static_cast<int>(x.b.im & 0x1f)))),
          complex_sum(x).bits(),
          canonical(a_re * root_half),
          eighth(x).bits(),
          wide(divisor(x)),
          canonical(quotient(x))};
}

/// Keeps the latest operands with their results until these come out of the operators.
class Sweep {
 public:
  explicit Sweep(std::uint64_t seed) : random_(seed) { model_.rst = 0; }

  /// Runs `patterns` operands; returns whether all results were as expected.
  bool run(std::size_t patterns) {
    std::size_t given = 0;
    while (given < patterns + history) {
      const Operands next = operands(given, random_);
      model_.en = random_() % 8 != 0;
      model_.a = next.a.bits();
      model_.b = next.b.bits();
      model_.negate = next.negate;
      model_.clk = 0;
      model_.eval();
      model_.clk = 1;
      model_.eval();
      if (!model_.en) continue;
      past_[given % history] = {next, compute(next)};
      ++given;
      compare(given);
    }
    return report(patterns);
  }

 private:
  static constexpr std::size_t history = 64;  // above every latency

  void compare(std::size_t given) {
    Results found = {model_.sum,    model_.product,     model_.reciprocal, model_.complex_product,
                     model_.scaled, model_.complex_sum, model_.root_half,  model_.eighth,
                     model_.norm,   model_.quotient};
    found[norm_index] = wide(std::uint64_t{found[norm_index]});
    for (std::size_t i = 0; i < operators.size(); ++i) {
      if (given < operators[i].latency) continue;
      const auto& [x, expected] = past_[(given - operators[i].latency) % history];
      if (found[i] == expected[i]) continue;
      if (differences_[i]++ >= max_reports) continue;
      std::printf("%s of a=%016" PRIx64 " b=%016" PRIx64 " negate=%d: %" PRIx64 ", expected %" PRIx64 "\n",
                  operators[i].name, x.a.bits(), x.b.bits(), x.negate, found[i], expected[i]);
    }
  }

  bool report(std::size_t patterns) const {
    std::printf("%zu patterns; differences:", patterns);
    std::size_t all = 0;
    for (std::size_t i = 0; i < operators.size(); ++i) {
      std::printf(" %s %zu", operators[i].name, differences_[i]);
      all += differences_[i];
    }
    std::printf("\n");
    return all == 0;
  }

  Voperators model_;
  Random random_;
  std::array<std::pair<Operands, Results>, history> past_{};
  std::array<std::size_t, operators.size()> differences_{};
};

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) {
    std::fprintf(stderr, "usage: sweep PATTERNS SEED [upward]\n");
    return 2;
  }
  if (argc > 3 && std::string_view(argv[3]) == "upward") std::fesetround(FE_UPWARD);
  const std::size_t patterns = std::strtoull(argv[1], nullptr, 10);
  return Sweep(std::strtoull(argv[2], nullptr, 10)).run(patterns) ? 0 : 1;
}
