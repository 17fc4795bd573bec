#include "kernels/conv2d.hpp"

#include <algorithm>
#include <vector>

#include "kernels/attributes.hpp"
#include "kernels/check.hpp"
#include "kernels/operations.hpp"
#include "kernels/patches.hpp"
#include "kernels/pool.hpp"

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

/// One group of one call: the tensors' parts that belong to it.
struct GroupCall {
  PixelSource source;  // of the current image
  Window window;
  std::array<std::int64_t, 2> out_extent{};
  std::size_t channels = 0;  // output channels of the group
  const std::int32_t* bias = nullptr;
  const float* multiplier = nullptr;
  std::int8_t* out = nullptr;  // of the current image, first channel of the group
  std::size_t out_pitch = 0;   // bytes
  std::int32_t out_zero_point = 0;
  std::array<std::int8_t, 2> clamp{};
  const std::int8_t* residual = nullptr;  // at `out`'s pixel and channel, with its pitch; null when there is none
  std::int32_t residual_zero_point = 0;
  std::int64_t residual_multiplier = 0;
};

/// The result of one sum; `place` is its distance from the call's first output.
std::int8_t result_of(const GroupCall& call, std::int32_t sum, float multiplier, std::size_t place) {
  if (call.residual == nullptr) return requantize(sum, multiplier, call.out_zero_point, call.clamp);
  const std::int64_t residual = (call.residual[place] - call.residual_zero_point) * call.residual_multiplier;
  return requantize_with_residual(sum, multiplier, residual, call.out_zero_point, call.clamp);
}

/// Convolves one image with one group's weights, a batch of output pixels after the other.
void convolve_group(const GroupCall& call, const std::vector<std::int16_t>& weights) {
  const std::size_t length = weights.size() / call.channels;
  const std::int64_t pixels = call.out_extent[0] * call.out_extent[1];
  const auto batch = static_cast<std::int64_t>(std::clamp<std::size_t>(patch_bytes / (2 * length), 4, 256));
  std::vector<std::int16_t> patches(static_cast<std::size_t>(std::min(batch, pixels)) * length);
  std::vector<std::int32_t> sums(static_cast<std::size_t>(std::min(batch, pixels)) * call.channels);
  for (std::int64_t first = 0; first < pixels; first += batch) {
    const auto count = static_cast<std::size_t>(std::min(batch, pixels - first));
    for (std::size_t i = 0; i < count; ++i) {
      const std::int64_t pixel = first + static_cast<std::int64_t>(i);
      gather_patch(call.source, call.window, pixel / call.out_extent[1], pixel % call.out_extent[1],
                   std::span(patches).subspan(i * length, length));
    }
    multiply_patches(patches.data(), count, weights.data(), call.channels, length, sums.data());
    for (std::size_t i = 0; i < count; ++i) {
      const std::size_t place = (static_cast<std::size_t>(first) + i) * call.out_pitch;
      for (std::size_t channel = 0; channel < call.channels; ++channel) {
        const std::int32_t sum = wrapping_add(sums[i * call.channels + channel], call.bias[channel]);
        call.out[place + channel] = result_of(call, sum, call.multiplier[channel], place + channel);
      }
    }
  }
}

}  // namespace

Conv2DAttributes Conv2DKernel::attributes_for(const TensorType& weight) const {
  Conv2DAttributes attributes = attributes_;
  attributes.window.kernel = {weight.shape[1], weight.shape[2]};
  return attributes;
}

nlohmann::json Conv2DKernel::attributes() const {
  nlohmann::json values = {{"stride", attributes_.window.stride},
                           {"padding", attributes_.window.padding},
                           {"dilation", attributes_.window.dilation},
                           {"groups", attributes_.groups},
                           {"clamp", attributes_.clamp}};
  if (attributes_.residual_multiplier) values["residual_multiplier"] = *attributes_.residual_multiplier;
  if (attributes_.pool) {
    values["pool_kernel"] = attributes_.pool->kernel;
    values["pool_stride"] = attributes_.pool->stride;
    values["pool_padding"] = attributes_.pool->padding;
  }
  return values;
}

TensorType Conv2DKernel::unpooled(std::span<const TensorType> inputs, const TensorType& output) const {
  const Window window = attributes_for(inputs[1]).window;
  TensorType type = output;
  type.shape[1] = window.positions(0, inputs[0].shape[1]);
  type.shape[2] = window.positions(1, inputs[0].shape[2]);
  return type;
}

Status Conv2DKernel::check(std::span<const TensorType> inputs, std::span<const TensorType> outputs) const {
  TypeCheck check(name(), inputs, outputs);
  const bool residual = attributes_.residual_multiplier.has_value();
  if (!check.counts(residual ? 5 : 4, 1)) return check.status();
  check.feature_map(inputs[0]);
  if (residual) check.feature_map(inputs[4]);
  check.dtype(inputs[1], DType::int8);
  check.rank(inputs[1], {4});
  check.dtype(inputs[2], DType::int32);
  check.dtype(inputs[3], DType::float32);
  check.feature_map(outputs[0]);
  if (!check.good()) return check.status();

  const auto& in = inputs[0].shape;
  const auto& weight = inputs[1].shape;
  const std::string groups = std::to_string(attributes_.groups);
  check.require(in[3] % attributes_.groups == 0,
                "the channels of " + inputs[0].describe() + " are not a multiple of groups = " + groups);
  check.require(weight[0] % attributes_.groups == 0, "the output channels of the weight " + inputs[1].describe() +
                                                         " are not a multiple of groups = " + groups);
  if (!check.good()) return check.status();
  check.shape(inputs[1], {weight[0], weight[1], weight[2], in[3] / attributes_.groups});
  check.shape(inputs[2], {weight[0]});
  check.shape(inputs[3], {weight[0]});
  check.require(weight[1] <= max_window_attribute && weight[2] <= max_window_attribute &&
                    inputs[1].elements() / weight[0] <= max_patch_length,
                "more than 131071 products per output could overflow int32: weight " + inputs[1].describe());
  if (!check.good()) return check.status();

  const Window window = attributes_for(inputs[1]).window;
  const std::int64_t rows = window.positions(0, in[1]);
  const std::int64_t columns = window.positions(1, in[2]);
  check.require(rows > 0 && columns > 0, "the kernel of the weight " + inputs[1].describe() + " does not fit " +
                                             inputs[0].describe() + " with its padding and dilation");
  if (!check.good()) return check.status();
  const std::vector<std::int64_t> shape = {in[0], rows, columns, weight[0]};
  if (residual) check.shape(inputs[4], shape);
  if (!attributes_.pool) {
    check.shape(outputs[0], shape);
    return check.status();
  }
  if (!check.good()) return check.status();
  TensorType result = outputs[0];
  result.shape = shape;
  return check_pool(name(), *attributes_.pool, {&result, 1}, outputs);
}

Status Conv2DKernel::run(std::span<const TensorView> inputs, std::span<const TensorView> outputs) const {
  if (!attributes_.pool) {
    convolve(inputs, outputs[0]);
    return {};
  }
  const std::array<TensorType, 2> types = {*inputs[0].type, *inputs[1].type};
  const TensorType type = unpooled(types, *outputs[0].type);
  std::vector<std::byte> storage(type.bytes());
  const TensorView result{.type = &type, .block = {.data = storage.data(), .size = storage.size()}};
  convolve(inputs, result);
  max_pool(*attributes_.pool, result, outputs[0]);
  return {};
}

void Conv2DKernel::convolve(std::span<const TensorView> inputs, const TensorView& output) const {
  const TensorType& in = *inputs[0].type;
  const TensorType& out = *output.type;
  const Conv2DAttributes attributes = attributes_for(*inputs[1].type);
  const auto groups = static_cast<std::size_t>(attributes.groups);
  const auto depth = static_cast<std::size_t>(inputs[1].type->shape[3]);
  const auto channels = static_cast<std::size_t>(out.shape[3]) / groups;
  const auto products = static_cast<std::size_t>(inputs[1].type->elements()) / (channels * groups);
  const std::size_t in_pitch = in.pixel_pitch();
  const std::size_t in_row_pitch = in_pitch * static_cast<std::size_t>(in.shape[2]);
  const std::size_t in_image = in_row_pitch * static_cast<std::size_t>(in.shape[1]);
  const std::size_t out_image = out.bytes() / static_cast<std::size_t>(out.shape[0]);

  for (std::size_t group = 0; group < groups; ++group) {
    const std::size_t first_channel = group * channels;
    const auto weights = widen_weights(inputs[1], first_channel, channels, padded_patch_length(products));
    for (std::size_t image = 0; image < static_cast<std::size_t>(in.shape[0]); ++image) {
      const PixelSource source{.data = inputs[0].as<std::int8_t>() + image * in_image + group * depth,
                               .rows = in.shape[1],
                               .columns = in.shape[2],
                               .row_pitch = in_row_pitch,
                               .pixel_pitch = in_pitch,
                               .channels = depth,
                               .zero_point = static_cast<std::int8_t>(in.zero_point)};
      const std::size_t first = image * out_image + first_channel;
      const bool residual = attributes.residual_multiplier.has_value();
      convolve_group({.source = source,
                      .window = attributes.window,
                      .out_extent = {out.shape[1], out.shape[2]},
                      .channels = channels,
                      .bias = inputs[2].as<std::int32_t>() + first_channel,
                      .multiplier = inputs[3].as<float>() + first_channel,
                      .out = output.as<std::int8_t>() + first,
                      .out_pitch = out.pixel_pitch(),
                      .out_zero_point = out.zero_point,
                      .clamp = attributes.clamp,
                      .residual = residual ? inputs[4].as<std::int8_t>() + first : nullptr,
                      .residual_zero_point = residual ? inputs[4].type->zero_point : 0,
                      .residual_multiplier = attributes.residual_multiplier.value_or(0)},
                     weights);
    }
  }
}

Work Conv2DKernel::work(std::span<const TensorType> inputs, std::span<const TensorType> outputs) const {
  const auto products = static_cast<std::uint64_t>(inputs[1].elements() / inputs[1].shape[0]);
  std::uint64_t bytes = outputs[0].bytes();
  for (const TensorType& input : inputs) bytes += input.bytes();
  const TensorType result = unpooled(inputs, outputs[0]);
  const std::uint64_t pooled = attributes_.pool ? pool_operations(*attributes_.pool, outputs[0]) : 0;
  // A widening multiply-accumulate of 8 lanes in 2 cycles, halved for loads.
  return {products * static_cast<std::uint64_t>(result.elements()) + pooled, bytes, 2.0};
}

KernelResult make_conv2d(const nlohmann::json& json) {
  AttributeReader reader("conv2d", json);
  Conv2DAttributes attributes;
  attributes.window.stride = reader.integers<2>("stride", 1, max_window_attribute);
  attributes.window.padding = reader.integers<4>("padding", 0, max_window_attribute);
  attributes.window.dilation = reader.integers<2>("dilation", 1, max_window_attribute);
  attributes.groups = reader.integer("groups", 1, INT32_MAX);
  attributes.clamp = reader.clamp();
  if (reader.has("residual_multiplier")) {
    attributes.residual_multiplier = reader.integer("residual_multiplier", 1, max_residual_multiplier);
  }
  if (reader.has("pool_kernel")) attributes.pool = read_pool_window(reader, "pool_");
  if (auto status = reader.finish(); !status) return tl::unexpected(status.error());
  return std::make_shared<const Conv2DKernel>(attributes);
}

}  // namespace cosoc
