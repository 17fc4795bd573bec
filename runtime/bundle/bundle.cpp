#include "cosoc/bundle.hpp"

#include <algorithm>
#include <map>

#include "bundle/checksum.hpp"
#include "bundle/safetensors.hpp"
#include "bundle/schema.hpp"
#include "device/mapped_file.hpp"

namespace cosoc {

struct WeightsFile {
  MappedFile bytes;
  std::map<std::string, SafeTensor> tensors;  // views of `bytes`
};

namespace {

Error in_file(const std::filesystem::path& path, const Error& error) { return {path.string() + ": " + error.message}; }

Result<MappedFile> open_file(const std::filesystem::path& path) {
  auto file = MappedFile::open(path);
  if (file) return file;
  return tl::make_unexpected(
      in_file(path, {file.error().message + "; a bundle is a directory that `cosoc convert` wrote"}));
}

/// safetensors' name of a dtype.
std::string_view stored_name(DType dtype) {
  switch (dtype) {
    case DType::float32:
      return "F32";
    case DType::int8:
      return "I8";
    case DType::int16:
      return "I16";
    case DType::int32:
      return "I32";
    case DType::int64:
      return "I64";
    case DType::boolean:
      return "BOOL";
    case DType::complex64:
      break;
  }
  return "C64";
}

/// Turns the entries of a bundle into a graph, in the bundle's order.
class Builder {
 public:
  /// `file` keeps the bytes of `weights`.
  Builder(const BundleEntry& entry, const std::map<std::string, SafeTensor>& weights,
          std::shared_ptr<const WeightsFile> file)
      : entry_(entry), weights_(weights), file_(std::move(file)), graph_(entry.name) {}

  Result<Graph> build() {
    for (const TensorEntry& tensor : entry_.tensors) {
      if (!declared_.emplace(tensor.name, &tensor).second)
        return failure("tensor " + tensor.name + " is declared twice");
    }
    if (auto done = add_inputs(); !done) return tl::make_unexpected(done.error());
    if (auto done = add_constants(); !done) return tl::make_unexpected(done.error());
    for (const NodeEntry& node : entry_.nodes) {
      if (auto done = add_node(node); !done) return failure("node " + node.name + ": " + done.error().message);
      // The graph's own checks name the node.
      if (!graph_.status()) return tl::make_unexpected(graph_.status().error());
    }
    for (const TensorEntry& tensor : entry_.tensors) {
      if (!made_.contains(tensor.name)) {
        return failure("tensor " + tensor.name + " is neither an input nor a constant, and no node makes it");
      }
    }
    for (const std::string& name : entry_.outputs) {
      if (!made_.contains(name)) return failure("output " + name + " is not declared in tensors");
      graph_.output(made_.at(name));
    }
    if (entry_.any_batch) graph_.allow_any_batch();
    if (auto good = graph_.check(); !good) return tl::make_unexpected(good.error());
    return std::move(graph_);
  }

 private:
  Status add_inputs() {
    for (const std::string& name : entry_.inputs) {
      const auto found = declared_.find(name);
      if (found == declared_.end()) return failure("input " + name + " is not declared in tensors");
      if (found->second->constant) return failure("input " + name + " is declared a constant");
      made_.emplace(name, graph_.input(name, found->second->type));
    }
    return graph_.status();
  }

  Status add_constants() {
    for (const TensorEntry& tensor : entry_.tensors) {
      if (!tensor.constant) continue;
      const auto found = weights_.find(tensor.name);
      if (found == weights_.end()) return failure("constant " + tensor.name + " is not in weights.safetensors");
      const SafeTensor& stored = found->second;
      if (stored.dtype != stored_name(tensor.type.dtype) || stored.shape != tensor.type.shape) {
        TensorType found_type = tensor.type;
        found_type.shape = stored.shape;
        const std::string described = found_type.describe();
        return failure("constant " + tensor.name + ": expected " + tensor.type.describe() +
                       ", weights.safetensors has " + stored.dtype + described.substr(described.find('[')));
      }
      made_.emplace(tensor.name, graph_.constant(tensor.name, tensor.type, stored.bytes, file_));
    }
    return graph_.status();
  }

  Status add_node(const NodeEntry& node) {
    std::vector<Tensor> inputs;
    for (const std::string& name : node.inputs) {
      if (!declared_.contains(name)) return failure("input " + name + " is not declared in tensors");
      const auto found = made_.find(name);
      if (found == made_.end()) return failure("input " + name + " is used before a node makes it");
      inputs.push_back(found->second);
    }
    std::vector<NamedType> outputs;
    for (const std::string& name : node.outputs) {
      const auto found = declared_.find(name);
      if (found == declared_.end()) return failure("output " + name + " is not declared in tensors");
      if (made_.contains(name)) return failure("output " + name + " is already an input, a constant or another output");
      const bool repeated = std::ranges::count(node.outputs, name) > 1;
      if (repeated) return failure("output " + name + " stands twice");
      outputs.push_back({name, found->second->type});
    }
    const NodeOptions options{.devices = node.devices, .source = node.source};
    const auto made = graph_.add_node(node.name, make_kernel(node.op, node.attributes), inputs, outputs, options);
    for (std::size_t i = 0; i < made.size(); ++i) made_.emplace(node.outputs[i], made[i]);
    return {};
  }

  const BundleEntry& entry_;
  const std::map<std::string, SafeTensor>& weights_;
  std::shared_ptr<const WeightsFile> file_;
  Graph graph_;
  std::map<std::string, const TensorEntry*> declared_;
  std::map<std::string, Tensor> made_;
};

Status check_weights(const BundleEntry& entry, std::span<const std::byte> file) {
  if (file.size() != entry.weights_bytes) {
    return failure("graph.json expects " + std::to_string(entry.weights_bytes) + " bytes, the file has " +
                   std::to_string(file.size()) + "; it is truncated or of another bundle");
  }
  if (const std::uint32_t found = crc32(file); found != entry.weights_crc32) {
    return failure("graph.json expects CRC-32 " + std::to_string(entry.weights_crc32) + ", the file has " +
                   std::to_string(found) + "; it is corrupted or of another bundle");
  }
  return {};
}

Result<BundleEntry> load_entry(const std::filesystem::path& directory) {
  const auto path = directory / "graph.json";
  const auto file = open_file(path);
  if (!file) return tl::make_unexpected(file.error());
  const auto text = file->bytes();
  auto entry = read_graph_json({reinterpret_cast<const char*>(text.data()), text.size()});
  if (!entry) return tl::make_unexpected(in_file(path, entry.error()));
  return entry;
}

Result<std::shared_ptr<const WeightsFile>> load_weights_file(const std::filesystem::path& directory,
                                                             const BundleEntry& entry) {
  const auto path = directory / "weights.safetensors";
  auto bytes = open_file(path);
  if (!bytes) return tl::make_unexpected(bytes.error());
  if (auto good = check_weights(entry, bytes->bytes()); !good) return tl::make_unexpected(in_file(path, good.error()));
  auto file = std::make_shared<WeightsFile>(std::move(*bytes));
  auto tensors = read_safetensors(file->bytes.bytes());
  if (!tensors) return tl::make_unexpected(in_file(path, tensors.error()));
  file->tensors = std::move(*tensors);
  return file;
}

}  // namespace

std::span<const std::byte> Weights::bytes(const std::string& name, const TensorType& type) const {
  const auto found = file_->tensors.find(name);
  if (found == file_->tensors.end()) return {};
  const SafeTensor& stored = found->second;
  if (stored.dtype != stored_name(type.dtype) || stored.shape != type.shape) return {};
  return stored.bytes;
}

Result<Weights> load_weights(const std::filesystem::path& directory) {
  const auto entry = load_entry(directory);
  if (!entry) return tl::make_unexpected(entry.error());
  auto file = load_weights_file(directory, *entry);
  if (!file) return tl::make_unexpected(file.error());
  return Weights(std::move(*file));
}

Result<Graph> load_bundle(const std::filesystem::path& directory) {
  const auto entry = load_entry(directory);
  if (!entry) return tl::make_unexpected(entry.error());
  const auto file = load_weights_file(directory, *entry);
  if (!file) return tl::make_unexpected(file.error());
  auto graph = Builder(*entry, (*file)->tensors, *file).build();
  if (!graph) return tl::make_unexpected(in_file(directory / "graph.json", graph.error()));
  return graph;
}

}  // namespace cosoc
