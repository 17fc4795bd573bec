/// A model as a graph of operations on tensors, built through value handles.
#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "kernels/kernel.hpp"
#include "kernels/tensor.hpp"

namespace cosoc {

/// A tensor of one graph. A handle is a value: it may be copied, and means nothing to another graph.
struct Tensor {
  std::uint32_t graph = 0;
  std::uint32_t index = 0;
};

/// What may be said of a node besides what it computes.
struct NodeOptions {
  /// Kinds of devices that may run it: `cpu`, or an accelerator's such as `c2d`. The scheduler chooses among them.
  std::vector<std::string> devices = {"cpu"};
  /// Line of the user's model: `model.py:12`.
  std::string source = {};
  /// Name of the output; the node's own name when empty.
  std::string output = {};
};

/// A tensor with a name.
struct NamedType {
  std::string name;
  TensorType type;
};

/// A graph under construction, and then what a session loads.
///
///     cosoc::Graph graph("digits");
///     auto x = graph.input("x", {cosoc::DType::float32, {1, 1, 32, 32}});
///     auto w = graph.constant("w", weight_type, bytes);
///     auto y = graph.add("conv1", kernel, {x, w, b, m}, type, {.devices = {"cpu", "c2d"}, .source = "model.py:12"});
///     graph.output(y);
///
/// Nodes can only use tensors that exist, so a graph has no cycles and its nodes stand in a valid order. A mistake (a
/// name used twice, types that do not fit, a handle of another graph) does not stop the construction: the first one is
/// kept in `status()`, and loading the graph returns it.
class Graph {
 public:
  /// What a tensor is. Its bytes are dense and row-major, as on the host; only constants have them.
  struct TensorInfo {
    std::string name;
    TensorType type;
    bool constant = false;
    std::span<const std::byte> data;
    std::shared_ptr<const void> owner;    // of `data`
    std::optional<std::size_t> producer;  // index of the node that makes it
    std::vector<std::size_t> readers;     // nodes that use it, in order, each once
  };

  /// What a node is; tensors by index.
  struct NodeInfo {
    std::string name;
    std::shared_ptr<const Kernel> kernel;
    std::vector<std::size_t> inputs;
    std::vector<std::size_t> outputs;
    std::vector<std::string> devices;
    std::string source;
  };

  explicit Graph(std::string name);

  /// A tensor that the caller supplies to every run.
  Tensor input(const std::string& name, const TensorType& type);
  /// A tensor with a fixed value: dense, row-major; as many bytes as its elements take. The bytes are copied.
  Tensor constant(const std::string& name, const TensorType& type, std::span<const std::byte> bytes);
  /// The same without a copy: `owner` keeps the bytes, which never change.
  Tensor constant(const std::string& name, const TensorType& type, std::span<const std::byte> bytes,
                  std::shared_ptr<const void> owner);
  /// A node with one output. A kernel that could not be made is the graph's error.
  Tensor add(const std::string& name, const Result<std::shared_ptr<const Kernel>>& kernel,
             std::initializer_list<Tensor> inputs, const TensorType& output, const NodeOptions& options = {});
  /// A node with any number of inputs and outputs; the outputs' handles in the same order.
  std::vector<Tensor> add_node(const std::string& name, const Result<std::shared_ptr<const Kernel>>& kernel,
                               std::span<const Tensor> inputs, std::span<const NamedType> outputs,
                               const NodeOptions& options = {});
  /// Makes a tensor a result of the model. Results keep the order of these calls.
  void output(Tensor tensor);

  /// Says that the first axis of all inputs and outputs counts samples, as many of each, and that no result of a sample
  /// depends on another one: `Model::run` then takes any number of samples.
  void allow_any_batch() { any_batch_ = true; }

  /// The first mistake of the construction, with the name of the node or tensor.
  const Status& status() const { return status_; }
  /// `status()`, and whether the graph has inputs and outputs, with batches of one size where it is for any batch.
  Status check() const;

  const std::string& name() const { return name_; }
  bool any_batch() const { return any_batch_; }
  const std::vector<TensorInfo>& tensors() const { return tensors_; }
  const std::vector<NodeInfo>& nodes() const { return nodes_; }
  const std::vector<std::size_t>& inputs() const { return inputs_; }
  const std::vector<std::size_t>& outputs() const { return outputs_; }
  /// Index of the tensor with this name.
  std::optional<std::size_t> find(const std::string& tensor) const;

 private:
  void fail(std::string message);
  Tensor new_tensor(const std::string& name, const TensorType& type);
  std::optional<std::vector<std::size_t>> indices(const std::string& node, std::span<const Tensor> tensors);

  std::uint32_t id_;
  std::string name_;
  std::vector<TensorInfo> tensors_;
  std::vector<NodeInfo> nodes_;
  std::vector<std::size_t> inputs_;
  std::vector<std::size_t> outputs_;
  std::unordered_map<std::string, std::size_t> tensor_names_;
  std::unordered_map<std::string, std::size_t> node_names_;
  bool any_batch_ = false;
  Status status_;
};

}  // namespace cosoc
