#include "kernels/dense/xnnpack.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <limits>

#include "kernels/dense/scratch.hpp"
#include "kernels/dense/xnnpack_library.hpp"
#include "kernels/dispatch.hpp"

namespace cosoc::dense::xnnpack {
namespace {

constexpr float infinity = std::numeric_limits<float>::infinity();

struct Range {
  const float* values;
  std::int64_t count;
  float least, greatest;
  bool all = false;
};

[[gnu::always_inline]] inline void look(Range& range) {
  // Magnitudes compare as their bits do, and a NaN's are more than infinity's. Those of +0 are never missed.
  const auto least = std::bit_cast<std::uint32_t>(range.least);
  const std::uint32_t room = std::bit_cast<std::uint32_t>(range.greatest) - least;
  const float* values = range.values;
  std::uint32_t outside = 0;
  for (std::int64_t i = 0; i < range.count; ++i) {
    const auto bits = std::bit_cast<std::uint32_t>(values[i]);
    const std::uint32_t above = (bits & 0x7FFFFFFFU) - least;
    outside |= above > room ? bits : 0U;
  }
  range.all = outside == 0;
}

COSOC_DISPATCH_WIDE(look_at, look, look, Range&)

}  // namespace

bool within(const float* values, std::int64_t count, float least, float greatest) {
  Range range = {.values = values, .count = count, .least = least, .greatest = greatest};
  look_at(range);
  return range.all;
}

#ifdef COSOC_XNNPACK

namespace {

/// Magnitudes of factors whose products and sums of products are no subnormal numbers: these are multiples of 2^-124,
/// as the last digit of 2^-39 is 2^-62. Sums of many stay finite.
constexpr float least_factor = 0x1p-39F;
constexpr float greatest_factor = 0x1p39F;

/// Channels or planes that XNNPACK gets at a time, so that they are still in a second-level cache after `within`.
constexpr std::int64_t part_floats = 1 << 16;

/// Channels or planes behind which others follow that have `overread` floats; for the last ones see `with_room`.
std::int64_t followed(std::int64_t count, std::int64_t floats) {
  return std::max<std::int64_t>(count - (overread + floats - 1) / floats, 0);
}

/// A copy behind which `overread` floats are there.
const float* with_room(const float* in, std::int64_t count) {
  float* const copy = scratch_floats(count + overread);
  std::copy_n(in, count, copy);
  return copy;
}

/// `compute(part, first, count)` for parts of planes until one fails or has values out of range; how many it computed.
template <class Compute>
std::int64_t compute_planes(const float* in, std::int64_t planes, std::int64_t elements, const Compute& compute) {
  if (!is_available() || elements == 0) return 0;
  const std::int64_t last = followed(planes, elements);
  const std::int64_t most = std::max<std::int64_t>(part_floats / elements, 1);
  std::int64_t first = 0;
  while (first < planes) {
    const std::int64_t count = first < last ? std::min(most, last - first) : planes - first;
    const float* part = in + first * elements;
    if (!within(part, count * elements, least_factor, greatest_factor)) break;
    if (first >= last) part = with_room(part, count * elements);
    if (!compute(part, first, static_cast<std::size_t>(count))) break;
    first += count;
  }
  return first;
}

/// A convolution for which `suits_depthwise`; `is_last` when nothing needs to follow its operand.
bool convolve_part(const Call& call, bool is_last) {
  const Problem& p = call.problem;
  const auto channels = static_cast<std::size_t>(p.groups);
  const auto size = [](std::int64_t value) { return static_cast<std::uint32_t>(value); };
  const std::int64_t floats = p.groups * volume(p.in);
  if (!within(call.in, floats, least_factor, greatest_factor) ||
      !within(call.weights, p.groups * volume(p.kernel), least_factor, greatest_factor) ||
      (call.epilogue.bias != nullptr && !within(call.epilogue.bias, p.groups, least_factor, greatest_factor))) {
    return false;
  }
  const float* const in = is_last ? with_room(call.in, floats) : call.in;
  const Functions& xnn = *functions();
  return run(
      [&](xnn_operator_t* made) {
        return xnn.create_convolution2d_nchw_f32(1, 1, 1, 1, 3, 3, 2, 2, 1, 1, size(p.groups), 1, 1, channels, channels,
                                                 call.weights, call.epilogue.bias, call.epilogue.low,
                                                 call.epilogue.high, 0, made);
      },
      [&](xnn_operator_t made) {
        return xnn.setup_convolution2d_nchw_f32(made, 1, size(p.in[1]), size(p.in[2]), in, call.out, nullptr);
      });
}

/// Floats of the widest vectors: a multiple of them is read exactly.
constexpr std::int64_t widest = 16;

bool map_vectors(const RealCall& call, const float* in, float* out, std::int64_t count) {
  if (count == 0) return true;
  const auto elements = static_cast<std::size_t>(count);
  const Functions& xnn = *functions();
  if (call.operation == "sigmoid") {
    return run([&](xnn_operator_t* made) { return xnn.create_sigmoid_nc_f32(1, 1, 1, 0, made); },
               [&](xnn_operator_t made) { return xnn.setup_sigmoid_nc_f32(made, elements, in, out, nullptr); });
  }
  return run([&](xnn_operator_t* made) { return xnn.create_elu_nc_f32(1, 1, 1, call.parameters[0], 0, made); },
             [&](xnn_operator_t made) { return xnn.setup_elu_nc_f32(made, elements, in, out, nullptr); });
}

}  // namespace

bool is_available() { return functions() != nullptr; }

bool has_map(std::string_view operation, std::span<const float> parameters) {
  if (!is_available()) return false;
  if (operation == "sigmoid") return true;
  // Slope, scale and inner scale: XNNPACK's has the first.
  return operation == "elu" && within(parameters.data(), 1, 0x1p-20F, 0x1p20F) && parameters[0] > 0.0F &&
         parameters[1] == 1.0F && parameters[2] == 1.0F;
}

bool map(const RealCall& call) {
  // Below -87 its sigmoid has 0 for subnormal numbers and the last normal ones; some of its ELUs lose the sign of -0.
  const bool ordinary = call.operation == "sigmoid" ? within(call.in, call.count, 0.0F, 87.0F)
                                                    : within(call.in, call.count, 0x1p-100F, 0x1p100F);
  if (!ordinary) return false;
  const std::int64_t rest = call.count % widest;
  if (!map_vectors(call, call.in, call.out, call.count - rest)) return false;
  std::array<float, widest> in{}, out{};
  std::copy_n(call.in + call.count - rest, rest, in.begin());
  if (rest != 0 && !map_vectors(call, in.data(), out.data(), widest)) return false;
  std::copy_n(out.begin(), rest, call.out + call.count - rest);
  return true;
}

bool suits_depthwise(const Problem& p, const Epilogue& epilogue) {
  const Windows& w = p.windows;
  const auto square = [](const Axes3& axes, std::int64_t length) { return axes[1] == length && axes[2] == length; };
  // Without a stride, and with 5x5 taps, it is no faster than `convolve_direct`.
  return is_available() && p.in_channels == 1 && p.out_channels == 1 && p.in[0] == 1 && p.out[0] == 1 &&
         p.kernel[0] == 1 && square(p.kernel, 3) && square(w.stride, 2) && square(w.padding, 1) &&
         square(w.dilation, 1) && epilogue.residual == nullptr;
}

void convolve_depthwise(const Call& call) {
  const std::int64_t in_floats = volume(call.problem.in), out_floats = volume(call.problem.out);
  const std::int64_t last = followed(call.problem.groups, in_floats);
  const std::int64_t most = std::max<std::int64_t>(part_floats / in_floats, 1);
  for (std::int64_t first = 0, count = 0; first < call.problem.groups; first += count) {
    count = first < last ? std::min(most, last - first) : call.problem.groups - first;
    Problem problem = call.problem;
    problem.groups = count;
    Epilogue epilogue = call.epilogue;
    if (epilogue.bias != nullptr) epilogue.bias += first;
    const Call part = {.problem = problem,
                       .in = call.in + first * in_floats,
                       .weights = call.weights + first * volume(problem.kernel),
                       .epilogue = epilogue,
                       .out = call.out + first * out_floats};
    if (!convolve_part(part, first >= last)) convolve_direct(part);
  }
}

std::int64_t average_planes(const float* in, std::int64_t planes, std::int64_t elements, float* out) {
  // Its sums are float32, ours float64.
  constexpr std::int64_t most = 1024;
  if (elements > most) return 0;
  return compute_planes(in, planes, elements, [&](const float* part, std::int64_t first, std::size_t count) {
    const Functions& xnn = *functions();
    return run(
        [&](xnn_operator_t* made) {
          return xnn.create_global_average_pooling_ncw_f32(count, -infinity, infinity, 0, made);
        },
        [&](xnn_operator_t made) {
          return xnn.setup_global_average_pooling_ncw_f32(made, 1, static_cast<std::size_t>(elements), part,
                                                          out + first, nullptr);
        });
  });
}

std::int64_t resample_planes(const float* in, std::int64_t planes, const Plane& from, const Plane& to, bool aligned,
                             float* out) {
  // Other positions are rounded to float32, which can be seen in the weights.
  const auto exact = [](std::int64_t length, std::int64_t made) {
    return length >= 2 && made >= length && made % length == 0 &&
           std::has_single_bit(static_cast<std::uint64_t>(made / length));
  };
  if (aligned || !exact(from.rows, to.rows) || !exact(from.columns, to.columns)) return 0;
  const auto size = [](std::int64_t value) { return static_cast<std::size_t>(value); };
  return compute_planes(
      in, planes, from.rows * from.columns, [&](const float* part, std::int64_t first, std::size_t count) {
        const Functions& xnn = *functions();
        return run(
            [&](xnn_operator_t* made) { return xnn.create_resize_bilinear2d_nchw_f32(count, count, count, 0, made); },
            [&](xnn_operator_t made) {
              return xnn.setup_resize_bilinear2d_nchw_f32(made, 1, size(from.rows), size(from.columns), size(to.rows),
                                                          size(to.columns), part, out + first * to.rows * to.columns,
                                                          nullptr);
            });
      });
}

#else

bool is_available() { return false; }
bool has_map(std::string_view, std::span<const float>) { return false; }
bool map(const RealCall&) { return false; }
bool suits_depthwise(const Problem&, const Epilogue&) { return false; }
void convolve_depthwise(const Call& call) { convolve_direct(call); }
std::int64_t average_planes(const float*, std::int64_t, std::int64_t, float*) { return 0; }
std::int64_t resample_planes(const float*, std::int64_t, const Plane&, const Plane&, bool, float*) { return 0; }

#endif

}  // namespace cosoc::dense::xnnpack
