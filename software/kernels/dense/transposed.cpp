#include <algorithm>

#include "kernels/dense/convolve.hpp"
#include "kernels/dense/gemm.hpp"

namespace cosoc::dense {
namespace {

/// Adds the products of one tap to the outputs of a channel.
void add_tap(const Problem& p, std::int64_t tap, const float* value, float* out) {
  const Windows& w = p.windows;
  const Axes3 at = {tap / (p.kernel[1] * p.kernel[2]), tap / p.kernel[2] % p.kernel[1], tap % p.kernel[2]};
  Axes3 shift{};
  for (std::size_t i = 0; i < 3; ++i) shift[i] = at[i] * w.dilation[i] - w.padding[i];
  const std::int64_t stride = w.stride[2];
  const std::int64_t first = std::clamp<std::int64_t>((-shift[2] + stride - 1) / stride, 0, p.in[2]);
  const std::int64_t reach = p.out[2] - 1 - shift[2];
  const std::int64_t last = reach < 0 ? first : std::clamp<std::int64_t>(reach / stride + 1, first, p.in[2]);
  for (std::int64_t d = 0; d < p.in[0]; ++d) {
    const std::int64_t depth = d * w.stride[0] + shift[0];
    for (std::int64_t h = 0; h < p.in[1]; ++h, value += p.in[2]) {
      const std::int64_t height = h * w.stride[1] + shift[1];
      if (depth < 0 || depth >= p.out[0] || height < 0 || height >= p.out[1]) continue;
      float* to = out + (depth * p.out[1] + height) * p.out[2] + shift[2];
      for (std::int64_t x = first; x < last; ++x) to[x * stride] += value[x];
    }
  }
}

}  // namespace

std::vector<float> turn_transposed(const Problem& p, const float* weight) {
  const std::int64_t products = p.out_channels * volume(p.kernel);
  std::vector<float> turned(static_cast<std::size_t>(products * p.in_channels));
  for (std::int64_t channel = 0; channel < p.in_channels; ++channel) {
    for (std::int64_t i = 0; i < products; ++i) turned[i * p.in_channels + channel] = weight[channel * products + i];
  }
  return turned;
}

void convolve_transposed(const Call& call) {
  const auto& [p, in, turned, epilogue, out] = call;
  const std::int64_t taps = volume(p.kernel);
  const std::int64_t pixels = volume(p.in);
  std::vector<float> values(static_cast<std::size_t>(p.out_channels * taps * pixels));
  multiply({.rows = p.out_channels * taps,
            .columns = pixels,
            .depth = p.in_channels,
            .a = turned,
            .a_stride = p.in_channels,
            .b = in,
            .b_stride = pixels,
            .c = values.data(),
            .c_stride = pixels});
  const float* value = values.data();
  for (std::int64_t channel = 0; channel < p.out_channels; ++channel) {
    const std::int64_t offset = channel * volume(p.out);
    std::fill_n(out + offset, volume(p.out), 0.0F);
    for (std::int64_t tap = 0; tap < taps; ++tap, value += pixels) add_tap(p, tap, value, out + offset);
    epilogue.store(out + offset, channel, offset, volume(p.out), out);
  }
}

}  // namespace cosoc::dense
