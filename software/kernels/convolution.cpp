#include "kernels/convolution.hpp"

#include <algorithm>
#include <string>
#include <type_traits>
#include <vector>

#include "kernels/arithmetic.hpp"
#include "kernels/patches.hpp"

namespace cosoc {
namespace {

/// Bytes of patches that are multiplied at once: they stay in the second-level cache beside the weights.
constexpr std::size_t patch_bytes = 65536;

/// The weights of one group as rows of int16, each padded to `length`.
std::vector<std::int16_t> widen_weights(const TensorView& weight, std::size_t first_channel, std::size_t channels,
                                        std::size_t length) {
  const auto& shape = weight.type->shape;
  const auto positions = static_cast<std::size_t>(shape[1] * shape[2]);
  const auto depth = static_cast<std::size_t>(shape[3]);
  const std::size_t pitch = weight.type->pixel_pitch();
  std::vector<std::int16_t> rows(channels * length, 0);
  const auto* in = weight.as<std::int8_t>() + first_channel * positions * pitch;
  for (std::size_t channel = 0; channel < channels; ++channel) {
    std::int16_t* out = rows.data() + channel * length;
    for (std::size_t position = 0; position < positions; ++position, in += pitch) out = std::copy_n(in, depth, out);
  }
  return rows;
}

/// One group of one image: the tensors' parts that belong to it.
template <class Activation>
struct GroupCall {
  /// 32 bits wrap as the accelerator's do; 48 bits hold all sums of int16.
  using Sum = std::conditional_t<sizeof(Activation) == 1, std::int32_t, std::int64_t>;

  const Convolution& rule;
  PixelSource<Activation> source;
  std::array<std::int64_t, 2> out_extent{};
  std::size_t channels = 0;  // output channels of the group
  const std::int32_t* bias = nullptr;
  const float* multiplier = nullptr;
  Activation* out = nullptr;  // first channel of the group
  std::size_t out_pitch = 0;  // values
  std::int32_t out_zero_point = 0;
  const Activation* residual = nullptr;  // at `out`'s pixel and channel, with its pitch; null when there is none
  std::int32_t residual_zero_point = 0;

  void run(const std::vector<std::int16_t>& weights) const;

 private:
  Activation result_of(Sum sum, std::size_t channel, std::size_t place) const;
};

/// The result of one sum; `place` is its distance from the call's first output.
template <class Activation>
Activation GroupCall<Activation>::result_of(Sum sum, std::size_t channel, std::size_t place) const {
  Sum total = 0;
  if constexpr (sizeof(Activation) == 1) {
    total = wrapping_add(sum, bias[channel]);
  } else {
    total = sum + bias[channel];
  }
  if (residual == nullptr) return requantize<Activation>(total, multiplier[channel], out_zero_point, rule.clamp);
  const std::int64_t added = (residual[place] - residual_zero_point) * *rule.residual_multiplier;
  return requantize_with_residual<Activation>(total, multiplier[channel], added, out_zero_point, rule.clamp);
}

/// Convolves with one group's weights, a batch of output pixels after the other.
template <class Activation>
void GroupCall<Activation>::run(const std::vector<std::int16_t>& weights) const {
  const std::size_t length = weights.size() / channels;
  const std::int64_t pixels = out_extent[0] * out_extent[1];
  const auto batch = static_cast<std::int64_t>(std::clamp<std::size_t>(patch_bytes / (2 * length), 4, 256));
  std::vector<std::int16_t> patches(static_cast<std::size_t>(std::min(batch, pixels)) * length);
  std::vector<Sum> sums(static_cast<std::size_t>(std::min(batch, pixels)) * channels);
  const auto gather = rule.transposed ? gather_transposed_patch<Activation> : gather_patch<Activation>;
  for (std::int64_t first = 0; first < pixels; first += batch) {
    const auto count = static_cast<std::size_t>(std::min(batch, pixels - first));
    for (std::size_t i = 0; i < count; ++i) {
      const std::int64_t pixel = first + static_cast<std::int64_t>(i);
      gather(source, rule.window, pixel / out_extent[1], pixel % out_extent[1],
             std::span(patches).subspan(i * length, length));
    }
    multiply_patches(patches.data(), count, weights.data(), channels, length, sums.data());
    for (std::size_t i = 0; i < count; ++i) {
      const std::size_t place = (static_cast<std::size_t>(first) + i) * out_pitch;
      for (std::size_t channel = 0; channel < channels; ++channel) {
        out[place + channel] = result_of(sums[i * channels + channel], channel, place + channel);
      }
    }
  }
}

template <class Activation>
void convolve_all(const Convolution& rule, std::span<const TensorView> inputs, const TensorView& output) {
  const TensorType& in = *inputs[0].type;
  const TensorType& out = *output.type;
  const auto groups = static_cast<std::size_t>(rule.groups);
  const auto depth = static_cast<std::size_t>(inputs[1].type->shape[3]);
  const auto channels = static_cast<std::size_t>(out.shape[3]) / groups;
  const auto products = static_cast<std::size_t>(inputs[1].type->elements()) / (channels * groups);
  const std::size_t in_pitch = in.pixel_pitch() / sizeof(Activation);
  const std::size_t in_row_pitch = in_pitch * static_cast<std::size_t>(in.shape[2]);
  const std::size_t in_image = in_row_pitch * static_cast<std::size_t>(in.shape[1]);
  const std::size_t out_image = out.bytes() / sizeof(Activation) / static_cast<std::size_t>(out.shape[0]);
  const bool residual = rule.residual_multiplier.has_value();

  for (std::size_t group = 0; group < groups; ++group) {
    const std::size_t first_channel = group * channels;
    const auto weights = widen_weights(inputs[1], first_channel, channels, padded_patch_length(products));
    for (std::size_t image = 0; image < static_cast<std::size_t>(in.shape[0]); ++image) {
      const std::size_t first = image * out_image + first_channel;
      const GroupCall<Activation> call = {
          .rule = rule,
          .source = {.data = inputs[0].as<Activation>() + image * in_image + group * depth,
                     .rows = in.shape[1],
                     .columns = in.shape[2],
                     .row_pitch = in_row_pitch,
                     .pixel_pitch = in_pitch,
                     .channels = depth,
                     .zero_point = static_cast<Activation>(in.zero_point)},
          .out_extent = {out.shape[1], out.shape[2]},
          .channels = channels,
          .bias = inputs[2].as<std::int32_t>() + first_channel,
          .multiplier = inputs[3].as<float>() + first_channel,
          .out = output.as<Activation>() + first,
          .out_pitch = out.pixel_pitch() / sizeof(Activation),
          .out_zero_point = out.zero_point,
          .residual = residual ? inputs[4].as<Activation>() + first : nullptr,
          .residual_zero_point = residual ? inputs[4].type->zero_point : 0};
      call.run(weights);
    }
  }
}

}  // namespace

bool check_convolution(TypeCheck& check, std::int64_t groups, std::span<const TensorType> inputs,
                       const TensorType& output) {
  check.feature_map(inputs[0]);
  check.dtype(inputs[1], DType::int8);
  check.rank(inputs[1], {4});
  check.dtype(inputs[2], DType::int32);
  check.dtype(inputs[3], DType::float32);
  check.feature_map_like(output, inputs[0]);
  if (!check.good()) return false;

  const auto& in = inputs[0].shape;
  const auto& weight = inputs[1].shape;
  const std::string text = std::to_string(groups);
  check.require(in[3] % groups == 0,
                "the channels of " + inputs[0].describe() + " are not a multiple of groups = " + text);
  check.require(weight[0] % groups == 0, "the output channels of the weight " + inputs[1].describe() +
                                             " are not a multiple of groups = " + text);
  if (!check.good()) return false;
  check.shape(inputs[1], {weight[0], weight[1], weight[2], in[3] / groups});
  check.shape(inputs[2], {weight[0]});
  check.shape(inputs[3], {weight[0]});
  check.require(weight[1] <= max_window_attribute && weight[2] <= max_window_attribute &&
                    inputs[1].elements() / weight[0] <= max_patch_length,
                "more than 131071 products per output could overflow int32: weight " + inputs[1].describe());
  return check.good();
}

void convolve(const Convolution& convolution, std::span<const TensorView> inputs, const TensorView& output) {
  with_activation(output.type->dtype,
                  [&]<class Activation>(Activation) { convolve_all<Activation>(convolution, inputs, output); });
}

}  // namespace cosoc
