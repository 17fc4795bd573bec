#include "cosoc/graph.hpp"

#include <algorithm>
#include <atomic>
#include <tuple>

namespace cosoc {
namespace {

/// More elements than any tensor that fits device memory; below this no size computation overflows.
constexpr std::int64_t max_elements = std::int64_t{1} << 40;

/// Whether a type makes sense at all, whatever operation it serves.
Status check_type(const TensorType& type) {
  std::int64_t elements = 1;
  for (const std::int64_t length : type.shape) {
    if (length < 1 || length > max_elements / elements) {
      return failure("a shape needs lengths from 1 up and at most 2^40 elements in all; an axis of length " +
                     std::to_string(length) + " is not possible here");
    }
    elements *= length;
  }
  if (!(type.scale > 0.0F)) return failure("the scale must be above 0, not " + std::to_string(type.scale));
  const auto [low, high] = value_range(type.dtype);
  if (type.zero_point < low || type.zero_point > high) {
    return failure("the zero point must be in " + std::to_string(low) + ".." + std::to_string(high) + ", not " +
                   std::to_string(type.zero_point));
  }
  return {};
}

}  // namespace

Graph::Graph(std::string name) : name_(std::move(name)) {
  static std::atomic<std::uint32_t> count{0};
  id_ = ++count;
}

void Graph::fail(std::string message) {
  if (status_) status_ = failure("graph " + name_ + ": " + std::move(message));
}

Tensor Graph::new_tensor(const std::string& name, const TensorType& type) {
  const auto index = tensors_.size();
  if (name.empty()) fail("a tensor needs a name");
  if (auto fits = check_type(type); !fits) fail("tensor " + name + ": " + fits.error().message);
  if (!tensor_names_.emplace(name, index).second) fail("there are two tensors named " + name);
  TensorInfo info;
  info.name = name;
  info.type = type;
  tensors_.push_back(std::move(info));
  return {id_, static_cast<std::uint32_t>(index)};
}

Tensor Graph::input(const std::string& name, const TensorType& type) {
  const Tensor tensor = new_tensor(name, type);
  inputs_.push_back(tensor.index);
  return tensor;
}

Tensor Graph::constant(const std::string& name, const TensorType& type, std::span<const std::byte> bytes) {
  const auto copy = std::make_shared<const std::vector<std::byte>>(bytes.begin(), bytes.end());
  return constant(name, type, *copy, copy);
}

Tensor Graph::constant(const std::string& name, const TensorType& type, std::span<const std::byte> bytes,
                       std::shared_ptr<const void> owner) {
  const Tensor tensor = new_tensor(name, type);
  TensorInfo& info = tensors_[tensor.index];
  info.constant = true;
  if (status_ && bytes.size() != type.dense_bytes()) {
    fail("constant " + name + " of type " + type.describe() + " takes " + std::to_string(type.dense_bytes()) +
         " bytes; given are " + std::to_string(bytes.size()));
  }
  info.data = bytes;
  info.owner = std::move(owner);
  return tensor;
}

std::optional<std::vector<std::size_t>> Graph::indices(const std::string& node, std::span<const Tensor> tensors) {
  std::vector<std::size_t> result;
  for (const Tensor tensor : tensors) {
    if (tensor.graph != id_ || tensor.index >= tensors_.size()) {
      fail(node + ": input " + std::to_string(result.size()) + " is a tensor of another graph");
      return std::nullopt;
    }
    result.push_back(tensor.index);
  }
  return result;
}

Tensor Graph::add(const std::string& name, const Result<std::shared_ptr<const Kernel>>& kernel,
                  std::initializer_list<Tensor> inputs, const TensorType& output, const NodeOptions& options) {
  const NamedType named{options.output.empty() ? name : options.output, output};
  return add_node(name, kernel, {inputs.begin(), inputs.size()}, {&named, 1}, options).front();
}

std::vector<Tensor> Graph::add_node(const std::string& name, const Result<std::shared_ptr<const Kernel>>& kernel,
                                    std::span<const Tensor> inputs, std::span<const NamedType> outputs,
                                    const NodeOptions& options) {
  const std::string where = options.source.empty() ? "node " + name : "node " + name + " (" + options.source + ")";
  if (name.empty()) fail("a node needs a name");
  if (!node_names_.emplace(name, nodes_.size()).second) fail("there are two nodes named " + name);
  if (options.devices.empty()) fail(where + ": no devices are listed; list at least cpu");

  const auto input_indices = indices(where, inputs);
  std::vector<Tensor> made;
  NodeInfo node{name,
                kernel ? *kernel : nullptr,
                input_indices.value_or(std::vector<std::size_t>{}),
                {},
                options.devices,
                options.source};
  for (const NamedType& output : outputs) {
    made.push_back(new_tensor(output.name, output.type));
    tensors_.back().producer = nodes_.size();
    node.outputs.push_back(made.back().index);
  }
  if (!kernel) {
    fail(where + ": " + kernel.error().message);
  } else if (status_) {
    std::vector<TensorType> input_types;
    std::vector<TensorType> output_types;
    for (const std::size_t index : node.inputs) input_types.push_back(tensors_[index].type);
    for (const std::size_t index : node.outputs) output_types.push_back(tensors_[index].type);
    if (auto fits = node.kernel->check(input_types, output_types); !fits) fail(where + ": " + fits.error().message);
  }
  for (const std::size_t index : node.inputs) {
    auto& readers = tensors_[index].readers;
    if (readers.empty() || readers.back() != nodes_.size()) readers.push_back(nodes_.size());
  }
  nodes_.push_back(std::move(node));
  return made;
}

void Graph::output(Tensor tensor) {
  if (tensor.graph != id_ || tensor.index >= tensors_.size()) return fail("an output is a tensor of another graph");
  const TensorInfo& info = tensors_[tensor.index];
  if (!info.producer) return fail("output " + info.name + " is not made by a node");
  if (std::ranges::find(outputs_, tensor.index) != outputs_.end()) return fail("output " + info.name + " stands twice");
  outputs_.push_back(tensor.index);
}

Status Graph::check() const {
  if (!status_) return status_;
  if (inputs_.empty()) return failure("graph " + name_ + " has no inputs");
  if (outputs_.empty()) return failure("graph " + name_ + " has no outputs");
  if (!any_batch_) return {};
  const auto& first = tensors_[inputs_[0]].type;
  for (const auto* tensors : {&inputs_, &outputs_}) {
    for (const std::size_t index : *tensors) {
      const auto& [name, type] = std::tie(tensors_[index].name, tensors_[index].type);
      if (!type.shape.empty() && type.shape[0] == first.shape[0]) continue;
      return failure("graph " + name_ + " is for any batch, but " + tensors_[inputs_[0]].name + " is " +
                     first.describe() + " and " + name + " is " + type.describe() +
                     "; the first axis of all inputs and outputs has to be of one size");
    }
  }
  return {};
}

std::optional<std::size_t> Graph::find(const std::string& tensor) const {
  const auto found = tensor_names_.find(tensor);
  if (found == tensor_names_.end()) return std::nullopt;
  return found->second;
}

}  // namespace cosoc
