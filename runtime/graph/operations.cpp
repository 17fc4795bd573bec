#include <nlohmann/json.hpp>

#include "cosoc/kernels.hpp"

namespace cosoc {
namespace {

/// The type of a tensor that may be of another graph; the graph reports that when the node is added.
TensorType type_of(const Graph& graph, Tensor tensor) {
  return tensor.index < graph.tensors().size() ? graph.tensors()[tensor.index].type : TensorType{};
}

}  // namespace

Tensor conv2d(Graph& graph, const std::string& name, Tensor input, Tensor weight, Tensor bias, Tensor multiplier,
              const Conv2DOptions& attributes, const TensorType& output, const NodeOptions& options) {
  const auto kernel = kernels::conv2d(attributes);
  if (attributes.residual) {
    const Tensor residual = attributes.residual->tensor;
    return graph.add(name, kernel, {input, weight, bias, multiplier, residual}, output, options);
  }
  return graph.add(name, kernel, {input, weight, bias, multiplier}, output, options);
}

Tensor conv_transpose2d(Graph& graph, const std::string& name, Tensor input, Tensor weight, Tensor bias,
                        Tensor multiplier, const ConvTranspose2DOptions& attributes, const TensorType& output,
                        const NodeOptions& options) {
  return graph.add(name, kernels::conv_transpose2d(attributes), {input, weight, bias, multiplier}, output, options);
}

Tensor conv1d(Graph& graph, const std::string& name, Tensor input, Tensor weight, Tensor bias, Tensor multiplier,
              const Conv1DOptions& attributes, const TensorType& output, const NodeOptions& options) {
  return graph.add(name, kernels::conv1d(attributes), {input, weight, bias, multiplier}, output, options);
}

Tensor max_pool2d(Graph& graph, const std::string& name, Tensor input, const MaxPool2DOptions& attributes,
                  const TensorType& output, const NodeOptions& options) {
  return graph.add(name, kernels::max_pool2d(attributes), {input}, output, options);
}

Tensor average_pool2d(Graph& graph, const std::string& name, Tensor input, const AveragePool2DOptions& attributes,
                      const TensorType& output, const NodeOptions& options) {
  return graph.add(name, kernels::average_pool2d(attributes), {input}, output, options);
}

Tensor add(Graph& graph, const std::string& name, Tensor a, Tensor b, const AddOptions& attributes,
           const TensorType& output, const NodeOptions& options) {
  return graph.add(name, kernels::add(attributes), {a, b}, output, options);
}

Tensor quantize(Graph& graph, const std::string& name, Tensor input, const TensorType& output,
                const NodeOptions& options) {
  return graph.add(name, kernels::quantize(), {input}, output, options);
}

Tensor dequantize(Graph& graph, const std::string& name, Tensor input, const TensorType& output,
                  const NodeOptions& options) {
  return graph.add(name, kernels::dequantize(), {input}, output, options);
}

Tensor fft(Graph& graph, const std::string& name, Tensor input, FFTDirection direction, const NodeOptions& options) {
  return graph.add(name, kernels::fft(direction), {input}, type_of(graph, input), options);
}

Tensor fft(Graph& graph, const std::string& name, Tensor input, FFTDirection direction, std::size_t axis,
           const NodeOptions& options) {
  return graph.add(name, kernels::fft(direction, axis), {input}, type_of(graph, input), options);
}

Tensor rfft(Graph& graph, const std::string& name, Tensor input, const NodeOptions& options) {
  TensorType type = type_of(graph, input);
  type.dtype = DType::complex64;
  if (!type.shape.empty()) type.shape.back() = type.shape.back() / 2 + 1;
  return graph.add(name, kernels::rfft(), {input}, type, options);
}

Tensor fft_multiply(Graph& graph, const std::string& name, Tensor input, Tensor b, const FFTMultiplyOptions& attributes,
                    const NodeOptions& options) {
  return graph.add(name, kernels::fft_multiply(attributes), {input, b}, type_of(graph, input), options);
}

Tensor zip_int16(Graph& graph, const std::string& name, const std::vector<Tensor>& operands,
                 const ZIPInt16Options& attributes, const NodeOptions& options) {
  TensorType type = operands.empty() ? TensorType{} : type_of(graph, operands[0]);
  const bool narrow =
      attributes.operation == ZIPOperator::magnitude_squared || attributes.operation == ZIPOperator::magnitude;
  if (narrow && !type.shape.empty()) type.shape.pop_back();
  const NamedType output{options.output.empty() ? name : options.output, type};
  return graph.add_node(name, kernels::zip_int16(attributes), operands, {&output, 1}, options).front();
}

Tensor zip(Graph& graph, const std::string& name, Tensor a, Tensor b, ZIPOperator operation,
           const NodeOptions& options) {
  return graph.add(name, kernels::zip(operation), {a, b}, type_of(graph, a), options);
}

Tensor zip(Graph& graph, const std::string& name, Tensor a, Tensor b, Tensor c, ZIPOperator operation,
           const NodeOptions& options) {
  return graph.add(name, kernels::zip(operation), {a, b, c}, type_of(graph, a), options);
}

Tensor zip(Graph& graph, const std::string& name, Tensor a, ZIPOperator operation, const NodeOptions& options) {
  TensorType type = type_of(graph, a);
  type.dtype = DType::float32;
  return graph.add(name, kernels::zip(operation), {a}, type, options);
}

Tensor scale(Graph& graph, const std::string& name, Tensor a, const std::array<float, 2>& factor,
             const NodeOptions& options) {
  return graph.add(name, kernels::scale(factor), {a}, type_of(graph, a), options);
}

Tensor gemm(Graph& graph, const std::string& name, Tensor a, Tensor b, const NodeOptions& options) {
  TensorType type = type_of(graph, a);
  const TensorType other = type_of(graph, b);
  if (type.shape.size() == 2 && other.shape.size() == 2) type.shape[1] = other.shape[1];
  return graph.add(name, kernels::gemm(), {a, b}, type, options);
}

Tensor transpose(Graph& graph, const std::string& name, Tensor input, const NodeOptions& options) {
  TensorType type = type_of(graph, input);
  if (type.shape.size() == 2) std::swap(type.shape[0], type.shape[1]);
  return graph.add(name, kernels::transpose(), {input}, type, options);
}

Tensor magnitude_squared(Graph& graph, const std::string& name, Tensor input, const NodeOptions& options) {
  TensorType type = type_of(graph, input);
  type.dtype = DType::float32;
  return graph.add(name, kernels::magnitude_squared(), {input}, type, options);
}

std::vector<Tensor> operation(Graph& graph, const std::string& name, std::string_view operation,
                              std::string_view attributes, std::initializer_list<Tensor> inputs,
                              std::initializer_list<NamedType> outputs, const NodeOptions& options) {
  const auto values = nlohmann::json::parse(attributes, nullptr, /*allow_exceptions=*/false);
  const auto kernel = make_kernel(operation, values);
  return graph.add_node(name, kernel, {inputs.begin(), inputs.size()}, {outputs.begin(), outputs.size()}, options);
}

}  // namespace cosoc
