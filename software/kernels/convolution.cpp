#include "kernels/convolution.hpp"

#include <algorithm>
#include <string>
#include <vector>

#include "kernels/arithmetic.hpp"
#include "kernels/patches.hpp"
#include "kernels/quantized/convolve.hpp"

namespace cosoc {
namespace {

/// The weights of one group as they lie in the tensor.
quantized::GroupWeights weights_of_group(const Convolution& rule, const TensorView& weight, std::size_t group) {
  const auto& shape = weight.type->shape;
  const auto channels = static_cast<std::size_t>(shape[0] / rule.groups);
  const std::array<std::size_t, 2> kernel = {static_cast<std::size_t>(shape[1]), static_cast<std::size_t>(shape[2])};
  const std::size_t pitch = weight.type->pixel_pitch();
  return {.data = weight.as<std::int8_t>() + group * channels * kernel[0] * kernel[1] * pitch,
          .channels = channels,
          .kernel = kernel,
          .depth = static_cast<std::size_t>(shape[3]),
          .pitch = pitch};
}

bool uses_winograd(const Convolution& rule, const quantized::GroupWeights& weights) {
  return quantized::suits_winograd(rule.window, rule.transposed, weights.depth, weights.channels);
}

std::vector<std::int16_t> pack(const Convolution& rule, const quantized::GroupWeights& weights) {
  return uses_winograd(rule, weights) ? quantized::pack_winograd(weights) : quantized::pack_patch_weights(weights);
}

/// One group of one image of int16 activations, whose sums take 48 bits.
void convolve_wide(const Convolution& rule, const PixelSource<std::int16_t>& source, const TensorView& output,
                   const quantized::GroupWeights& weights, std::span<const TensorView> inputs, std::size_t first) {
  const std::size_t positions = weights.kernel[0] * weights.kernel[1];
  const std::size_t length = padded_patch_length(positions * weights.depth);
  std::vector<std::int16_t> rows(weights.channels * length, 0);
  for (std::size_t i = 0; i < weights.channels * positions; ++i) {
    std::copy_n(weights.data + i * weights.pitch, weights.depth,
                rows.data() + i / positions * length + i % positions * weights.depth);
  }
  std::vector<std::int16_t> patch(length);
  std::vector<std::int64_t> sums(weights.channels);
  const TensorType& out = *output.type;
  const std::size_t pitch = out.pixel_pitch() / sizeof(std::int16_t);
  const std::size_t first_channel = first % pitch;
  const std::int32_t* bias = inputs[2].as<std::int32_t>() + first_channel;
  const float* multiplier = inputs[3].as<float>() + first_channel;
  const auto gather = rule.transposed ? gather_transposed_patch<std::int16_t> : gather_patch<std::int16_t>;
  std::size_t place = first;
  for (std::int64_t pixel = 0; pixel < out.shape[1] * out.shape[2]; ++pixel, place += pitch) {
    gather(source, rule.window, pixel / out.shape[2], pixel % out.shape[2], patch);
    multiply_patches(patch.data(), 1, rows.data(), weights.channels, length, sums.data());
    for (std::size_t channel = 0; channel < weights.channels; ++channel) {
      const std::int64_t total = sums[channel] + bias[channel];
      std::int16_t& to = output.as<std::int16_t>()[place + channel];
      if (!rule.residual_multiplier) {
        to = requantize<std::int16_t>(total, multiplier[channel], out.zero_point, rule.clamp);
        continue;
      }
      const std::int32_t residual = inputs[4].as<std::int16_t>()[place + channel] - inputs[4].type->zero_point;
      to = requantize_with_residual<std::int16_t>(total, multiplier[channel], residual * *rule.residual_multiplier,
                                                  out.zero_point, rule.clamp);
    }
  }
}

void convolve_narrow(const Convolution& rule, const PixelSource<std::int8_t>& source, const TensorView& output,
                     const quantized::GroupWeights& weights, std::span<const TensorView> inputs, std::size_t first,
                     const std::vector<std::int16_t>& packed) {
  const TensorType& out = *output.type;
  const bool residual = rule.residual_multiplier.has_value();
  const std::size_t first_channel = first % out.pixel_pitch();
  const quantized::Call call = {.source = source,
                                .window = rule.window,
                                .transposed = rule.transposed,
                                .out_extent = {out.shape[1], out.shape[2]},
                                .channels = weights.channels,
                                .rule = {.bias = inputs[2].as<std::int32_t>() + first_channel,
                                         .multiplier = inputs[3].as<float>() + first_channel,
                                         .zero_point = out.zero_point,
                                         .clamp = rule.clamp,
                                         .residual_multiplier = rule.residual_multiplier.value_or(0),
                                         .residual_zero_point = residual ? inputs[4].type->zero_point : 0},
                                .out = output.as<std::int8_t>() + first,
                                .residual = residual ? inputs[4].as<std::int8_t>() + first : nullptr,
                                .out_pitch = out.pixel_pitch()};
  uses_winograd(rule, weights) ? convolve_winograd(call, packed) : convolve_patches(call, packed);
}

template <class Activation>
void convolve_all(const Convolution& rule, std::span<const TensorView> inputs, const TensorView& output,
                  const PackedConvolution* prepared) {
  const TensorType& in = *inputs[0].type;
  const TensorType& out = *output.type;
  const std::size_t in_pitch = in.pixel_pitch() / sizeof(Activation);
  const std::size_t in_row_pitch = in_pitch * static_cast<std::size_t>(in.shape[2]);
  const std::size_t in_image = in_row_pitch * static_cast<std::size_t>(in.shape[1]);
  const std::size_t out_image = out.bytes() / sizeof(Activation) / static_cast<std::size_t>(out.shape[0]);
  for (std::size_t group = 0; group < static_cast<std::size_t>(rule.groups); ++group) {
    const auto weights = weights_of_group(rule, inputs[1], group);
    std::vector<std::int16_t> own;
    if (sizeof(Activation) == 1 && prepared == nullptr) own = pack(rule, weights);
    for (std::size_t image = 0; image < static_cast<std::size_t>(in.shape[0]); ++image) {
      const PixelSource<Activation> source = {
          .data = inputs[0].as<Activation>() + image * in_image + group * weights.depth,
          .rows = in.shape[1],
          .columns = in.shape[2],
          .row_pitch = in_row_pitch,
          .pixel_pitch = in_pitch,
          .channels = weights.depth,
          .zero_point = static_cast<Activation>(in.zero_point)};
      const std::size_t first = image * out_image + group * weights.channels;
      if constexpr (sizeof(Activation) == 1) {
        convolve_narrow(rule, source, output, weights, inputs, first, prepared ? prepared->groups[group] : own);
      } else {
        convolve_wide(rule, source, output, weights, inputs, first);
      }
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

std::shared_ptr<const PackedConvolution> pack_convolution(const Convolution& convolution, const TensorView& weight) {
  auto packed = std::make_shared<PackedConvolution>();
  for (std::size_t group = 0; group < static_cast<std::size_t>(convolution.groups); ++group) {
    packed->groups.push_back(pack(convolution, weights_of_group(convolution, weight, group)));
  }
  return packed;
}

void convolve(const Convolution& convolution, std::span<const TensorView> inputs, const TensorView& output,
              const PackedConvolution* packed) {
  with_activation(output.type->dtype,
                  [&]<class Activation>(Activation) { convolve_all<Activation>(convolution, inputs, output, packed); });
}

}  // namespace cosoc
