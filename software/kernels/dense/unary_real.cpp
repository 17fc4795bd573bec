#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>

#include "kernels/dense/angles.hpp"
#include "kernels/dense/functions.hpp"
#include "kernels/dense/unary.hpp"
#include "kernels/dense/xnnpack.hpp"
#include "kernels/dispatch.hpp"

namespace cosoc::dense {
namespace {

RealCall part_of(const RealCall& call, std::int64_t first, std::int64_t most) {
  RealCall part = call;
  part.in += first;
  part.out += first;
  part.count = std::min(most, call.count - first);
  return part;
}

/// Elements whose angles are looked at before they are turned.
constexpr std::int64_t angle_block = 1024;

/// Defines `map_<name>(call)`: the expression of every element `x`, with the parameters `p`. Each is a function of its
/// own: in a common one the compiler would take the last loops of a long chain of tests for rarely executed.
#define COSOC_MAP(name, expression)                                       \
  [[gnu::always_inline]] inline void loop_##name(const RealCall& call) {  \
    const float* in = call.in;                                            \
    float* out = call.out;                                                \
    std::array<float, 3> p{};                                             \
    std::copy(call.parameters.begin(), call.parameters.end(), p.begin()); \
    _Pragma("GCC ivdep") for (std::int64_t i = 0; i < call.count; ++i) {  \
      const float x = in[i];                                              \
      out[i] = expression;                                                \
    }                                                                     \
  }                                                                       \
  COSOC_DISPATCH_WIDE(map_##name, loop_##name, loop_##name, const RealCall&)

/// The same of angles: large ones are left to the C library.
#define COSOC_MAP_ANGLES(name)                                                                \
  COSOC_MAP(small_##name, functions::name(x))                                                 \
  void map_##name(const RealCall& call) {                                                     \
    for (std::int64_t first = 0; first < call.count; first += angle_block) {                  \
      const RealCall block = part_of(call, first, angle_block);                               \
      if (has_small_angles(block)) {                                                          \
        map_small_##name(block);                                                              \
      } else {                                                                                \
        for (std::int64_t i = 0; i < block.count; ++i) block.out[i] = std::name(block.in[i]); \
      }                                                                                       \
    }                                                                                         \
  }

bool has_small_angles(const RealCall& call) {
  bool small = true;
  for (std::int64_t i = 0; i < call.count; ++i) small &= std::fabs(call.in[i]) <= functions::largest_angle;
  return small;
}

COSOC_MAP(neg, -x)
COSOC_MAP(abs, std::fabs(x))
COSOC_MAP(sign, static_cast<float>((x > 0.0F) - (x < 0.0F)))
COSOC_MAP(floor, std::floor(x))
COSOC_MAP(ceil, std::ceil(x))
COSOC_MAP(trunc, std::trunc(x))
COSOC_MAP(round, std::nearbyint(x))
COSOC_MAP(exp, functions::exp(x))
COSOC_MAP(exp2, functions::exp2(x))
COSOC_MAP(expm1, functions::expm1(x))
COSOC_MAP(log, functions::log(x))
COSOC_MAP(log1p, functions::log1p(x))
COSOC_MAP(log2, functions::log(x) * std::numbers::log2e_v<float>)
COSOC_MAP(log10, functions::log(x) * std::numbers::log10e_v<float>)
COSOC_MAP(sqrt, std::sqrt(x))
COSOC_MAP(rsqrt, 1.0F / std::sqrt(x))
COSOC_MAP(reciprocal, 1.0F / x)
COSOC_MAP_ANGLES(sin)
COSOC_MAP_ANGLES(cos)
COSOC_MAP_ANGLES(tan)
COSOC_MAP(asin, functions::asin(x))
COSOC_MAP(acos, functions::acos(x))
COSOC_MAP(atan, functions::atan(x))
COSOC_MAP(sinh, functions::sinh(x))
COSOC_MAP(cosh, functions::cosh(x))
COSOC_MAP(tanh, functions::tanh(x))
COSOC_MAP(asinh, functions::asinh(x))
COSOC_MAP(acosh, functions::acosh(x))
COSOC_MAP(atanh, functions::atanh(x))
COSOC_MAP(erf, functions::erf(x))
COSOC_MAP(erfc, functions::erfc(x))
COSOC_MAP(sigmoid, functions::sigmoid(x))
COSOC_MAP(relu, x < 0.0F ? 0.0F : x)
COSOC_MAP(gelu, functions::gelu(x))
COSOC_MAP(gelu_tanh, functions::gelu_tanh(x))
COSOC_MAP(silu, functions::silu(x))
COSOC_MAP(mish, functions::mish(x))
COSOC_MAP(hardswish, x* std::clamp(x + 3.0F, 0.0F, 6.0F) / 6.0F)
COSOC_MAP(hardsigmoid, std::clamp(x + 3.0F, 0.0F, 6.0F) / 6.0F)
COSOC_MAP(elu, functions::elu(x, p[0], p[1], p[2]))
COSOC_MAP(leaky_relu, x > 0.0F ? x : x * p[0])
COSOC_MAP(clamp, functions::clamp(x, p[0], p[1]))
COSOC_MAP(angle, std::isnan(x) ? x : x < 0.0F ? std::numbers::pi_v<float> : 0.0F)

/// max(y, 0) + log(1 + exp(-|y|)) with y = beta * x. In two loops: compilers make no vectors of both functions in one.
[[gnu::always_inline]] inline void loop_softplus(const RealCall& call) {
  const float beta = call.parameters[0];
  const float threshold = call.parameters[1];
  const float* in = call.in;
  float* out = call.out;
#pragma GCC ivdep
  for (std::int64_t i = 0; i < call.count; ++i) out[i] = functions::exp(-std::fabs(in[i] * beta));
#pragma GCC ivdep
  for (std::int64_t i = 0; i < call.count; ++i) {
    const float y = in[i] * beta;
    const float soft = ((y < 0.0F ? 0.0F : y) + functions::log1p(out[i])) / beta;
    out[i] = y > threshold ? in[i] : soft;
  }
}
COSOC_DISPATCH_WIDE(map_softplus, loop_softplus, loop_softplus, const RealCall&)

struct Entry {
  std::string_view operation;
  void (*map)(const RealCall&);
};

#define COSOC_ENTRY(name) \
  Entry { #name, map_##name }

constexpr std::array table = {
    COSOC_ENTRY(neg),        COSOC_ENTRY(abs),        COSOC_ENTRY(sign),        COSOC_ENTRY(floor),
    COSOC_ENTRY(ceil),       COSOC_ENTRY(trunc),      COSOC_ENTRY(round),       COSOC_ENTRY(exp),
    COSOC_ENTRY(exp2),       COSOC_ENTRY(expm1),      COSOC_ENTRY(log),         COSOC_ENTRY(log1p),
    COSOC_ENTRY(log2),       COSOC_ENTRY(log10),      COSOC_ENTRY(sqrt),        COSOC_ENTRY(rsqrt),
    COSOC_ENTRY(reciprocal), COSOC_ENTRY(sin),        COSOC_ENTRY(cos),         COSOC_ENTRY(tan),
    COSOC_ENTRY(asin),       COSOC_ENTRY(acos),       COSOC_ENTRY(atan),        COSOC_ENTRY(sinh),
    COSOC_ENTRY(cosh),       COSOC_ENTRY(tanh),       COSOC_ENTRY(asinh),       COSOC_ENTRY(acosh),
    COSOC_ENTRY(atanh),      COSOC_ENTRY(erf),        COSOC_ENTRY(erfc),        COSOC_ENTRY(sigmoid),
    COSOC_ENTRY(relu),       COSOC_ENTRY(gelu),       COSOC_ENTRY(gelu_tanh),   COSOC_ENTRY(silu),
    COSOC_ENTRY(mish),       COSOC_ENTRY(hardswish),  COSOC_ENTRY(hardsigmoid), COSOC_ENTRY(softplus),
    COSOC_ENTRY(elu),        COSOC_ENTRY(leaky_relu), COSOC_ENTRY(clamp),       COSOC_ENTRY(angle),
};

}  // namespace

bool map_real(const RealCall& call) {
  const auto found = std::ranges::find(table, call.operation, &Entry::operation);
  if (found == table.end()) return false;
  if (!xnnpack::has_map(call.operation, call.parameters)) {
    found->map(call);
    return true;
  }
  for (std::int64_t first = 0; first < call.count; first += xnnpack::map_block) {
    const RealCall part = part_of(call, first, xnnpack::map_block);
    if (!xnnpack::map(part)) found->map(part);
  }
  return true;
}

}  // namespace cosoc::dense
