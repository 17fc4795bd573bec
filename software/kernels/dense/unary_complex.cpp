/// Functions of one complex64 element with a complex64 result.
#include <algorithm>
#include <array>
#include <numbers>

#include "kernels/dense/unary.hpp"

namespace cosoc::dense {
namespace {

using Complex64 = std::complex<float>;
/// Where a function is a sum or a product of others, double precision keeps the digits that they would lose.
using Wide = std::complex<double>;

struct Entry {
  std::string_view operation;
  void (*map)(std::span<const Complex64>, Complex64*);
};

/// A function of a number of the type that it takes, over many.
template <auto function>
void map(std::span<const Complex64> in, Complex64* out) {
  std::ranges::transform(in, out, [](Complex64 x) { return Complex64(function(x)); });
}

constexpr double one = 1.0;

constexpr std::array table = {
    Entry{"neg", map<[](Complex64 x) { return -x; }>},
    Entry{"conj", map<[](Complex64 x) { return std::conj(x); }>},
    Entry{"exp", map<[](Complex64 x) { return std::exp(x); }>},
    Entry{"log", map<[](Complex64 x) { return std::log(x); }>},
    Entry{"sqrt", map<[](Complex64 x) { return std::sqrt(x); }>},
    Entry{"reciprocal", map<[](Complex64 x) { return 1.0F / x; }>},
    Entry{"exp2", map<[](Wide x) { return std::exp(x * std::numbers::ln2); }>},
    Entry{"expm1", map<[](Wide x) { return std::exp(x) - one; }>},
    Entry{"log1p", map<[](Wide x) { return std::log(x + one); }>},
    Entry{"log2", map<[](Wide x) { return std::log(x) / std::numbers::ln2; }>},
    Entry{"log10", map<[](Wide x) { return std::log10(x); }>},
    Entry{"rsqrt", map<[](Wide x) { return one / std::sqrt(x); }>},
    Entry{"sin", map<[](Wide x) { return std::sin(x); }>},
    Entry{"cos", map<[](Wide x) { return std::cos(x); }>},
    Entry{"tan", map<[](Wide x) { return std::tan(x); }>},
    Entry{"asin", map<[](Wide x) { return std::asin(x); }>},
    Entry{"acos", map<[](Wide x) { return std::acos(x); }>},
    Entry{"atan", map<[](Wide x) { return std::atan(x); }>},
    Entry{"sinh", map<[](Wide x) { return std::sinh(x); }>},
    Entry{"cosh", map<[](Wide x) { return std::cosh(x); }>},
    Entry{"tanh", map<[](Wide x) { return std::tanh(x); }>},
    Entry{"asinh", map<[](Wide x) { return std::asinh(x); }>},
    Entry{"acosh", map<[](Wide x) { return std::acosh(x); }>},
    Entry{"atanh", map<[](Wide x) { return std::atanh(x); }>},
    Entry{"sigmoid", map<[](Wide x) { return one / (one + std::exp(-x)); }>},
    Entry{"silu", map<[](Wide x) { return x / (one + std::exp(-x)); }>},
};

}  // namespace

bool map_complex(std::string_view operation, std::span<const Complex64> in, Complex64* out) {
  const auto found = std::ranges::find(table, operation, &Entry::operation);
  if (found == table.end()) return false;
  found->map(in, out);
  return true;
}

}  // namespace cosoc::dense
