#include "kernels/dense/binary_real.hpp"

#include <cmath>

#include "kernels/dense/functions.hpp"
#include "kernels/dispatch.hpp"

namespace cosoc::dense {
namespace {

/// Whether `quick_fmod` is exact: the quotient is below 2^27.
[[gnu::always_inline]] inline bool is_quick(float a, float b) { return std::fabs(a) < std::fabs(b) * 0x1p27F; }

/// `fmod` where `is_quick`, otherwise anything. A quotient n + f has f = 0 or f > 2^-24 / n, more than its rounding to
/// 53 bits takes, so `whole` is right; its product with 24 bits and the difference are exact.
[[gnu::always_inline]] inline float quick_fmod(float a, float b) {
  const double quotient = static_cast<double>(a) / static_cast<double>(b);
  const auto whole = static_cast<std::int32_t>(std::fabs(quotient) < 0x1p28 ? quotient : 0.0);
  const double rest = static_cast<double>(a) - static_cast<double>(whole) * static_cast<double>(b);
  // An infinite b leaves a.
  return std::fabs(a) < std::fabs(b) ? a : std::copysign(static_cast<float>(rest), a);
}

/// `out = finish(a, b, fmod(a, b))`.
template <class Finish>
[[gnu::always_inline]] inline void map_rests(const PairCall& call, const Finish& finish) {
  std::int32_t slow = 0;
#pragma GCC ivdep
  for (std::int64_t i = 0; i < call.count; ++i) {
    const float a = call.a[i];
    const float b = call.b[i];
    call.out[i] = finish(a, b, quick_fmod(a, b));
    slow |= is_quick(a, b) ? 0 : 1;
  }
  if (slow == 0) return;
  for (std::int64_t i = 0; i < call.count; ++i) {
    const float a = call.a[i];
    const float b = call.b[i];
    if (!is_quick(a, b)) call.out[i] = finish(a, b, std::fmod(a, b));
  }
}

[[gnu::always_inline]] inline bool has_other_sign(float rest, float b) {
  return rest != 0.0F && (rest < 0.0F) != (b < 0.0F);
}

[[gnu::always_inline]] inline void loop_fmod(const PairCall& call) {
  map_rests(call, [](float, float, float rest) { return rest; });
}

[[gnu::always_inline]] inline void loop_remainder(const PairCall& call) {
  map_rests(call, [](float, float b, float rest) { return has_other_sign(rest, b) ? rest + b : rest; });
}

[[gnu::always_inline]] inline void loop_floor_divide(const PairCall& call) {
  map_rests(call, [](float a, float b, float rest) {
    const float divided = (a - rest) / b;
    const float quotient = has_other_sign(rest, b) ? divided - 1.0F : divided;
    const float below = std::floor(quotient);
    const float whole = quotient - below > 0.5F ? below + 1.0F : below;
    const float signed_zero = std::copysign(0.0F, a / b);
    return b == 0.0F ? a / b : quotient == 0.0F ? signed_zero : whole;
  });
}

[[gnu::always_inline]] inline void loop_atan2(const PairCall& call) {
#pragma GCC ivdep
  for (std::int64_t i = 0; i < call.count; ++i) call.out[i] = functions::atan2(call.a[i], call.b[i]);
}

}  // namespace

COSOC_DISPATCH(map_fmod, loop_fmod, const PairCall&)
COSOC_DISPATCH(map_remainder, loop_remainder, const PairCall&)
COSOC_DISPATCH(map_floor_divide, loop_floor_divide, const PairCall&)
COSOC_DISPATCH(map_atan2, loop_atan2, const PairCall&)

}  // namespace cosoc::dense
