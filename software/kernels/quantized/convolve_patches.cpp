#include <algorithm>

#include "kernels/dispatch.hpp"
#include "kernels/quantized/convolve.hpp"
#include "kernels/quantized/panels.hpp"

namespace cosoc::quantized {
namespace {

/// Bytes of patches that are multiplied at once: they stay in the second-level cache beside the weights.
constexpr std::size_t patch_bytes = 131072;

struct Pixels {
  const Call& call;
  const std::int32_t* sums;
  std::size_t pitch;
  std::size_t first;
  std::size_t count;
};

[[gnu::always_inline]] inline void finish_all(const Pixels& pixels) {
  for (std::size_t i = 0; i < pixels.count; ++i) {
    pixels.call.finish(pixels.sums + i * pixels.pitch, pixels.first + i);
  }
}

COSOC_DISPATCH_EXACT(finish, finish_all, const Pixels&)

}  // namespace

std::vector<std::int16_t> pack_patch_weights(const GroupWeights& weights) {
  const std::size_t positions = weights.kernel[0] * weights.kernel[1];
  const std::size_t length = padded_patch_length(positions * weights.depth);
  std::vector<std::int16_t> packed(whole_panels(weights.channels) * panel_columns * length);
  const std::int8_t* in = weights.data;
  for (std::size_t channel = 0; channel < weights.channels; ++channel) {
    for (std::size_t position = 0; position < positions; ++position, in += weights.pitch) {
      for (std::size_t k = 0; k < weights.depth; ++k) {
        packed[packed_place(channel, position * weights.depth + k, length)] = in[k];
      }
    }
  }
  return packed;
}

void convolve_patches(const Call& call, const std::vector<std::int16_t>& packed) {
  const std::size_t pitch = whole_panels(call.channels) * panel_columns;
  const std::size_t length = packed.size() / pitch;
  const auto pixels = static_cast<std::size_t>(call.out_extent[0] * call.out_extent[1]);
  const std::size_t batch = std::min(pixels, std::clamp<std::size_t>(patch_bytes / (2 * length), 12, 240));
  const auto gather = call.transposed ? gather_transposed_patch<std::int8_t> : gather_patch<std::int8_t>;
  thread_local std::vector<std::int16_t> patches;
  thread_local std::vector<std::int32_t> sums;
  patches.resize(batch * length);
  sums.resize(batch * pitch);
  for (std::size_t first = 0; first < pixels; first += batch) {
    const std::size_t count = std::min(batch, pixels - first);
    for (std::size_t i = 0; i < count; ++i) {
      const auto pixel = static_cast<std::int64_t>(first + i);
      gather(call.source, call.window, pixel / call.out_extent[1], pixel % call.out_extent[1],
             std::span(patches).subspan(i * length, length));
    }
    multiply({.rows = patches.data(),
              .count = count,
              .length = length,
              .packed = packed.data(),
              .channels = call.channels,
              .sums = sums.data(),
              .pitch = pitch});
    finish({call, sums.data(), pitch, first, count});
  }
}

}  // namespace cosoc::quantized
