#include <algorithm>
#include <vector>

#include "kernels/dense/convolve.hpp"
#include "kernels/dense/padded.hpp"
#include "kernels/dense/panels.hpp"
#include "kernels/dense/scratch.hpp"
#include "kernels/dispatch.hpp"

namespace cosoc::dense {
namespace {

/// Patches that are multiplied at a time: 256 KB, which a second-level cache holds.
constexpr std::int64_t block_floats = std::int64_t{1} << 16;
constexpr std::int64_t block_columns = 256;

using Panel [[gnu::vector_size(64)]] = float;
using Stored [[gnu::vector_size(64), gnu::aligned(4), gnu::may_alias]] = float;
static_assert(sizeof(Panel) == panel_columns * sizeof(float));

/// Columns of one panel whose inputs lie side by side.
struct Run {
  std::int64_t column;  // in the panel
  std::int64_t from;    // in the padded part, for the first tap
};

/// Neighbouring outputs as runs, a panel of them at a time. Every run is copied as a whole panel: what is beyond its
/// end is written again by the next run or by the next row.
[[gnu::always_inline]] inline void pack_panel(const float* padded, const std::int64_t* offsets, std::int64_t depth,
                                              const std::vector<Run>& runs, float* panel) {
  for (std::int64_t k = 0; k < depth; ++k, panel += panel_columns) {
    const float* in = padded + offsets[k];
    for (const Run& run : runs) {
      *reinterpret_cast<Stored*>(panel + run.column) = *reinterpret_cast<const Stored*>(in + run.from);
    }
  }
}

/// The matrix product of all weights with a block of patches, on top of those of the weights before `k`.
[[gnu::always_inline]] inline PanelProduct product_of(const Call& call, const Epilogue& epilogue, std::int64_t first,
                                                      std::int64_t columns, std::int64_t k, std::int64_t part,
                                                      const float* panels) {
  const std::int64_t depth = call.problem.in_channels * volume(call.problem.kernel);
  return {.rows = call.problem.out_channels,
          .columns = columns,
          .depth = part,
          .a = call.weights + k * panel_rows,
          .a_depth = depth,
          .b = panels,
          .b_panel = part * panel_columns,
          .c = call.out + first,
          .c_stride = volume(call.problem.out),
          .accumulate = k > 0,
          .epilogue = k + part == depth ? epilogue : Epilogue{}};
}

/// The epilogue of outputs from `first` on.
[[gnu::always_inline]] inline Epilogue shifted(const Epilogue& epilogue, std::int64_t first) {
  Epilogue result = epilogue;
  if (result.residual != nullptr) result.residual += first;
  return result;
}

/// 1x1 without stride: the image is the matrix of patches. Only columns that fill no panel are packed.
[[gnu::always_inline]] inline void convolve_pointwise(const Call& call) {
  const Problem& p = call.problem;
  const std::int64_t pixels = volume(p.out);
  const std::int64_t rest = pixels % panel_columns;
  const std::int64_t deepest = std::min(p.in_channels, block_floats / block_columns);
  float* const panel = scratch_floats(deepest * panel_columns);
  for (std::int64_t first = 0; first < pixels - rest; first += block_columns) {
    const Epilogue epilogue = shifted(call.epilogue, first);
    for (std::int64_t k = 0; k < p.in_channels; k += deepest) {
      PanelProduct product = product_of(call, epilogue, first, std::min(block_columns, pixels - rest - first), k,
                                        std::min(deepest, p.in_channels - k), call.in + k * pixels + first);
      product.b_panel = panel_columns;
      product.b_step = pixels;
      multiply(product);
    }
  }
  if (rest == 0) return;
  const Epilogue epilogue = shifted(call.epilogue, pixels - rest);
  for (std::int64_t k = 0; k < p.in_channels; k += deepest) {
    const std::int64_t part = std::min(deepest, p.in_channels - k);
    for (std::int64_t i = 0; i < part; ++i) {
      std::copy_n(call.in + (k + i + 1) * pixels - rest, rest, panel + i * panel_columns);
    }
    multiply(product_of(call, epilogue, pixels - rest, rest, k, part, panel));
  }
}

/// A block of outputs: rows of one slice, or some columns of one row.
[[gnu::always_inline]] inline void convolve_block(const Call& call, const Part& part) {
  const Problem& p = call.problem;
  const std::int64_t taps = volume(p.kernel);
  const std::int64_t depth = p.in_channels * taps;
  const std::int64_t columns = part.count[1] * part.count[2];
  const std::int64_t panels = whole_panels(columns, panel_columns);
  const std::int64_t deepest = std::min(depth, block_floats / (panels * panel_columns));
  const std::int64_t channels = std::min(p.in_channels, (deepest - 1) / taps + 2);
  const Padded padded(p, part);
  const std::int64_t packed_size = (panels * deepest + 1) * panel_columns;
  float* const packed = scratch_floats(packed_size + channels * padded.channel() + panel_columns);
  float* const images = packed + packed_size;
  std::fill_n(images, channels * padded.channel(), 0.0F);
  const std::vector<std::int64_t> offsets = tap_offsets(p, padded, channels);
  std::vector<Run> runs;
  const std::int64_t first = (part.first[0] * p.out[1] + part.first[1]) * p.out[2] + part.first[2];
  const Epilogue epilogue = shifted(call.epilogue, first);
  for (std::int64_t k = 0; k < depth; k += deepest) {
    const std::int64_t here = std::min(deepest, depth - k);
    for (std::int64_t channel = k / taps; channel <= (k + here - 1) / taps; ++channel) {
      fill(p, call.in + channel * volume(p.in), call.in + p.in_channels * volume(p.in), padded,
           images + (channel - k / taps) * padded.channel());
    }
    for (std::int64_t panel = 0; panel < panels; ++panel) {
      runs.clear();
      const std::int64_t last = std::min(columns, (panel + 1) * panel_columns);
      for (std::int64_t at = panel * panel_columns; at < last;) {
        const std::int64_t y = at / part.count[2], x = at % part.count[2];
        runs.push_back({at - panel * panel_columns, y * p.windows.stride[1] * padded.row_pitch() + x});
        at += part.count[2] - x;
      }
      pack_panel(images, offsets.data() + k % taps, here, runs, packed + panel * here * panel_columns);
    }
    multiply(product_of(call, epilogue, first, columns, k, here, packed));
  }
}

[[gnu::always_inline]] inline void convolve_all(const Call& call) {
  const Problem& p = call.problem;
  if (volume(p.kernel) == 1 && p.in == p.out && p.windows.stride == Axes3{1, 1, 1}) return convolve_pointwise(call);
  const std::int64_t wide = std::min(p.out[2], block_columns);
  const std::int64_t high = wide < p.out[2] ? 1 : std::clamp(block_columns / wide, std::int64_t{1}, p.out[1]);
  for (std::int64_t depth = 0; depth < p.out[0]; ++depth) {
    for (std::int64_t row = 0; row < p.out[1]; row += high) {
      for (std::int64_t x = 0; x < p.out[2]; x += wide) {
        convolve_block(call, {.first = {depth, row, x},
                              .count = {1, std::min(high, p.out[1] - row), std::min(wide, p.out[2] - x)}});
      }
    }
  }
}

COSOC_DISPATCH(convolve_chosen, convolve_all, const Call&)

}  // namespace

void convolve_unrolled(const Call& call) { convolve_chosen(call); }

}  // namespace cosoc::dense
