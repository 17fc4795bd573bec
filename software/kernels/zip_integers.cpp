#include "kernels/zip_integers.hpp"

#include <algorithm>

namespace cosoc {
namespace {

struct Number {
  std::int64_t re = 0;
  std::int64_t im = 0;
};

Number product(Number a, Number b) { return {a.re * b.re - a.im * b.im, a.im * b.re + a.re * b.im}; }

/// Before the shift; of real operations `re` alone counts.
Number exact(ZIPKind kind, Number a, Number b) {
  switch (kind) {
    case ZIPKind::add:
    case ZIPKind::real_add:
      return {a.re + b.re, a.im + b.im};
    case ZIPKind::sub:
    case ZIPKind::real_sub:
      return {a.re - b.re, a.im - b.im};
    case ZIPKind::mul:
    case ZIPKind::multiply_add:
      return product(a, b);
    case ZIPKind::magnitude_squared:
      return {a.re * a.re + a.im * a.im, 0};
    case ZIPKind::real_mul:
      return {a.re * b.re, 0};
    default:
      return product(a, {b.re, -b.im});
  }
}

/// value / 2^shift, rounded to nearest even.
std::int64_t shifted(std::int64_t value, std::uint32_t shift) {
  if (shift == 0) return value;
  const std::int64_t whole = value >> shift;
  const std::int64_t rest = value - (whole << shift);
  const std::int64_t half = std::int64_t{1} << (shift - 1);
  return whole + ((rest > half || (rest == half && whole % 2 != 0)) ? 1 : 0);
}

std::int16_t saturated(std::int64_t value) {
  return static_cast<std::int16_t>(std::clamp<std::int64_t>(value, INT16_MIN, INT16_MAX));
}

}  // namespace

void zip_integers(ZIPKind kind, const IntegerOperands& operands) {
  const std::size_t parts = is_real(kind) ? 1 : 2;
  const auto number = [parts](const std::int16_t* from, std::size_t i) {
    return Number{from[i * parts], parts == 2 ? from[i * parts + 1] : std::int16_t{0}};
  };
  const bool with_c = operands_of(kind) == 3;
  for (std::size_t i = 0; i < operands.count; ++i) {
    const Number sum = exact(kind, number(operands.a, i), number(operands.b, i % operands.b_count));
    const Number c = with_c ? number(operands.c, i) : Number{};
    const std::size_t place = is_narrow(kind) ? i : i * parts;
    operands.out[place] = saturated(shifted(sum.re, operands.shift) + c.re);
    if (parts == 2 && !is_narrow(kind)) operands.out[place + 1] = saturated(shifted(sum.im, operands.shift) + c.im);
  }
}

}  // namespace cosoc
