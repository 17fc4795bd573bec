#include "kernels/conv2d.hpp"

#include <algorithm>
#include <vector>

#include "kernels/arithmetic.hpp"
#include "kernels/attributes.hpp"
#include "kernels/check.hpp"
#include "kernels/operations.hpp"
#include "kernels/pool.hpp"

namespace cosoc {

Conv2DAttributes Conv2DKernel::attributes_for(const TensorType& weight) const {
  Conv2DAttributes attributes = attributes_;
  attributes.window.kernel = {weight.shape[1], weight.shape[2]};
  return attributes;
}

Convolution Conv2DKernel::convolution_of(const TensorType& weight) const {
  const Conv2DAttributes attributes = attributes_for(weight);
  return {.window = attributes.window,
          .groups = attributes.groups,
          .clamp = attributes.clamp,
          .residual_multiplier = attributes.residual_multiplier};
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
  if (attributes_.average) {
    values["pool_multiplier"] = attributes_.average->multiplier;
    values["pool_zero_point"] = attributes_.average->zero_point;
    values["pool_clamp"] = attributes_.average->clamp;
  }
  return values;
}

TensorType Conv2DKernel::unpooled(std::span<const TensorType> inputs, const TensorType& output) const {
  const Window window = attributes_for(inputs[1]).window;
  TensorType type = output;
  type.shape[1] = window.positions(0, inputs[0].shape[1]);
  type.shape[2] = window.positions(1, inputs[0].shape[2]);
  if (attributes_.average) type.zero_point = attributes_.average->zero_point;
  return type;
}

Status Conv2DKernel::check(std::span<const TensorType> inputs, std::span<const TensorType> outputs) const {
  TypeCheck check(name(), inputs, outputs);
  const bool residual = attributes_.residual_multiplier.has_value();
  if (!check.counts(residual ? 5 : 4, 1)) return check.status();
  if (!check_convolution(check, attributes_.groups, inputs, outputs[0])) return check.status();
  if (residual) check.feature_map_like(inputs[4], inputs[0]);
  check.clamp(outputs[0], attributes_.clamp);

  const auto& in = inputs[0].shape;
  const auto& weight = inputs[1].shape;
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
  const TensorType result = unpooled(inputs, outputs[0]);
  if (attributes_.average) {
    check.require(average_fits(*attributes_.pool, result), "averages of windows that large could overflow int32");
    check.clamp(outputs[0], attributes_.average->clamp);
    if (!check.good()) return check.status();
  }
  return check_pool(name(), *attributes_.pool, {&result, 1}, outputs);
}

std::shared_ptr<const Kernel> Conv2DKernel::prepare(std::span<const TensorView> inputs,
                                                    std::span<const TensorType>) const {
  if (inputs[0].type->dtype != DType::int8 || !inputs[1].constant) return nullptr;
  auto prepared = std::make_shared<Conv2DKernel>(attributes_);
  prepared->packed_ = pack_convolution(convolution_of(*inputs[1].type), inputs[1]);
  return prepared;
}

Status Conv2DKernel::run(std::span<const TensorView> inputs, std::span<const TensorView> outputs) const {
  if (!attributes_.pool) {
    convolve(convolution_of(*inputs[1].type), inputs, outputs[0], packed_.get());
    return {};
  }
  const std::array<TensorType, 2> types = {*inputs[0].type, *inputs[1].type};
  const TensorType type = unpooled(types, *outputs[0].type);
  std::vector<std::byte> storage(type.bytes());
  const TensorView result{.type = &type, .block = {.data = storage.data(), .size = storage.size()}};
  convolve(convolution_of(*inputs[1].type), inputs, result, packed_.get());
  if (const auto& average = attributes_.average) {
    average_pool(*attributes_.pool, average->multiplier, average->clamp, result, outputs[0]);
  } else {
    max_pool(*attributes_.pool, result, outputs[0]);
  }
  return {};
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
  if (attributes.pool && reader.has("pool_multiplier")) {
    attributes.average =
        Averaging{.multiplier = reader.number("pool_multiplier"),
                  .zero_point = static_cast<std::int32_t>(reader.integer("pool_zero_point", INT16_MIN, INT16_MAX)),
                  .clamp = reader.clamp("pool_clamp")};
  }
  if (auto status = reader.finish(); !status) return tl::unexpected(status.error());
  return std::make_shared<const Conv2DKernel>(attributes);
}

}  // namespace cosoc
