#include "cosoc/operations.hpp"

#include <nlohmann/json.hpp>

namespace cosoc {
namespace {

using nlohmann::json;

/// The type of a tensor that may be of another graph; the graph reports that when the node is added.
TensorType type_of(const Graph& graph, Tensor tensor) {
  return tensor.index < graph.tensors().size() ? graph.tensors()[tensor.index].type : TensorType{};
}

std::string_view name_of(ZIPOperator operation) {
  switch (operation) {
    case ZIPOperator::add:
      return "add";
    case ZIPOperator::sub:
      return "sub";
    case ZIPOperator::mul:
      return "mul";
    case ZIPOperator::div:
      return "div";
    case ZIPOperator::conjugate_mul:
      return "conjugate_mul";
    case ZIPOperator::multiply_add:
      return "multiply_add";
    case ZIPOperator::conjugate_multiply_add:
      return "conjugate_multiply_add";
    case ZIPOperator::magnitude_squared:
      return "magnitude_squared";
    case ZIPOperator::magnitude:
      break;
  }
  return "magnitude";
}

}  // namespace

Tensor conv2d(Graph& graph, const std::string& name, Tensor input, Tensor weight, Tensor bias, Tensor multiplier,
              const Conv2DOptions& attributes, const TensorType& output, const NodeOptions& options) {
  json values = {{"stride", attributes.stride},
                 {"padding", attributes.padding},
                 {"dilation", attributes.dilation},
                 {"groups", attributes.groups},
                 {"clamp", attributes.clamp}};
  if (attributes.residual) values["residual_multiplier"] = attributes.residual->multiplier;
  if (attributes.pool) {
    values["pool_kernel"] = attributes.pool->kernel;
    values["pool_stride"] = attributes.pool->stride;
    values["pool_padding"] = attributes.pool->padding;
  }
  if (attributes.average) {
    const AveragePool2DOptions& pool = attributes.average->pool;
    values["pool_kernel"] = pool.kernel;
    values["pool_stride"] = pool.stride;
    values["pool_padding"] = pool.padding;
    values["pool_multiplier"] = pool.multiplier;
    values["pool_zero_point"] = attributes.average->zero_point;
    values["pool_clamp"] = pool.clamp;
  }
  const auto kernel = make_kernel("conv2d", values);
  if (attributes.residual) {
    const Tensor residual = attributes.residual->tensor;
    return graph.add(name, kernel, {input, weight, bias, multiplier, residual}, output, options);
  }
  return graph.add(name, kernel, {input, weight, bias, multiplier}, output, options);
}

Tensor conv_transpose2d(Graph& graph, const std::string& name, Tensor input, Tensor weight, Tensor bias,
                        Tensor multiplier, const ConvTranspose2DOptions& attributes, const TensorType& output,
                        const NodeOptions& options) {
  const json values = {
      {"stride", attributes.stride},     {"padding", attributes.padding}, {"output_padding", attributes.output_padding},
      {"dilation", attributes.dilation}, {"groups", attributes.groups},   {"clamp", attributes.clamp}};
  const auto kernel = make_kernel("conv_transpose2d", values);
  return graph.add(name, kernel, {input, weight, bias, multiplier}, output, options);
}

Tensor conv1d(Graph& graph, const std::string& name, Tensor input, Tensor weight, Tensor bias, Tensor multiplier,
              const Conv1DOptions& attributes, const TensorType& output, const NodeOptions& options) {
  const Conv2DOptions of_row = {.stride = {1, attributes.stride},
                                .padding = {0, attributes.padding[0], 0, attributes.padding[1]},
                                .dilation = {1, attributes.dilation},
                                .groups = attributes.groups,
                                .clamp = attributes.clamp};
  return conv2d(graph, name, input, weight, bias, multiplier, of_row, output, options);
}

Tensor max_pool2d(Graph& graph, const std::string& name, Tensor input, const MaxPool2DOptions& attributes,
                  const TensorType& output, const NodeOptions& options) {
  const json values = {{"kernel", attributes.kernel}, {"stride", attributes.stride}, {"padding", attributes.padding}};
  return graph.add(name, make_kernel("max_pool2d", values), {input}, output, options);
}

Tensor average_pool2d(Graph& graph, const std::string& name, Tensor input, const AveragePool2DOptions& attributes,
                      const TensorType& output, const NodeOptions& options) {
  const json values = {{"kernel", attributes.kernel},
                       {"stride", attributes.stride},
                       {"padding", attributes.padding},
                       {"multiplier", attributes.multiplier},
                       {"clamp", attributes.clamp}};
  return graph.add(name, make_kernel("average_pool2d", values), {input}, output, options);
}

Tensor add(Graph& graph, const std::string& name, Tensor a, Tensor b, const AddOptions& attributes,
           const TensorType& output, const NodeOptions& options) {
  const json values = {{"multipliers", attributes.multipliers}, {"clamp", attributes.clamp}};
  return graph.add(name, make_kernel("add", values), {a, b}, output, options);
}

Tensor quantize(Graph& graph, const std::string& name, Tensor input, const TensorType& output,
                const NodeOptions& options) {
  return graph.add(name, make_kernel("quantize", json::object()), {input}, output, options);
}

Tensor dequantize(Graph& graph, const std::string& name, Tensor input, const TensorType& output,
                  const NodeOptions& options) {
  return graph.add(name, make_kernel("dequantize", json::object()), {input}, output, options);
}

Tensor fft(Graph& graph, const std::string& name, Tensor input, FFTDirection direction, const NodeOptions& options) {
  const json values = {{"direction", direction == FFTDirection::forward ? "forward" : "inverse"}};
  return graph.add(name, make_kernel("fft", values), {input}, type_of(graph, input), options);
}

Tensor fft(Graph& graph, const std::string& name, Tensor input, FFTDirection direction, std::size_t axis,
           const NodeOptions& options) {
  const json values = {{"direction", direction == FFTDirection::forward ? "forward" : "inverse"}, {"axis", axis}};
  return graph.add(name, make_kernel("fft", values), {input}, type_of(graph, input), options);
}

Tensor rfft(Graph& graph, const std::string& name, Tensor input, const NodeOptions& options) {
  TensorType type = type_of(graph, input);
  type.dtype = DType::complex64;
  if (!type.shape.empty()) type.shape.back() = type.shape.back() / 2 + 1;
  return graph.add(name, make_kernel("rfft", json::object()), {input}, type, options);
}

Tensor fft_multiply(Graph& graph, const std::string& name, Tensor input, Tensor b, const FFTMultiplyOptions& attributes,
                    const NodeOptions& options) {
  json values = {{"direction", attributes.direction == FFTDirection::forward ? "forward" : "inverse"},
                 {"operation", attributes.conjugate ? "conjugate_mul" : "mul"}};
  if (attributes.axis) values["axis"] = *attributes.axis;
  return graph.add(name, make_kernel("fft_multiply", values), {input, b}, type_of(graph, input), options);
}

Tensor zip_int16(Graph& graph, const std::string& name, const std::vector<Tensor>& operands,
                 const ZIPInt16Options& attributes, const NodeOptions& options) {
  const json values = {{"operation", name_of(attributes.operation)},
                       {"numbers", attributes.complex ? "complex" : "real"},
                       {"shift", attributes.shift}};
  TensorType type = operands.empty() ? TensorType{} : type_of(graph, operands[0]);
  if (attributes.operation == ZIPOperator::magnitude_squared && !type.shape.empty()) type.shape.pop_back();
  const NamedType output{options.output.empty() ? name : options.output, type};
  return graph.add_node(name, make_kernel("zip_int16", values), operands, {&output, 1}, options).front();
}

Tensor zip(Graph& graph, const std::string& name, Tensor a, Tensor b, ZIPOperator operation,
           const NodeOptions& options) {
  return graph.add(name, make_kernel("zip", {{"operation", name_of(operation)}}), {a, b}, type_of(graph, a), options);
}

Tensor zip(Graph& graph, const std::string& name, Tensor a, Tensor b, Tensor c, ZIPOperator operation,
           const NodeOptions& options) {
  const auto kernel = make_kernel("zip", {{"operation", name_of(operation)}});
  return graph.add(name, kernel, {a, b, c}, type_of(graph, a), options);
}

Tensor zip(Graph& graph, const std::string& name, Tensor a, ZIPOperator operation, const NodeOptions& options) {
  TensorType type = type_of(graph, a);
  type.dtype = DType::float32;
  return graph.add(name, make_kernel("zip", {{"operation", name_of(operation)}}), {a}, type, options);
}

Tensor scale(Graph& graph, const std::string& name, Tensor a, const std::array<float, 2>& factor,
             const NodeOptions& options) {
  const auto kernel = make_kernel("zip", {{"operation", "scale"}, {"factor", factor}});
  return graph.add(name, kernel, {a}, type_of(graph, a), options);
}

Tensor transpose(Graph& graph, const std::string& name, Tensor input, const NodeOptions& options) {
  TensorType type = type_of(graph, input);
  if (type.shape.size() == 2) std::swap(type.shape[0], type.shape[1]);
  return graph.add(name, make_kernel("transpose", json::object()), {input}, type, options);
}

Tensor magnitude_squared(Graph& graph, const std::string& name, Tensor input, const NodeOptions& options) {
  TensorType type = type_of(graph, input);
  type.dtype = DType::float32;
  return graph.add(name, make_kernel("magnitude_squared", json::object()), {input}, type, options);
}

}  // namespace cosoc
