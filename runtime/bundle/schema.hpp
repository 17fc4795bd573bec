/// The content of `graph.json`, checked against runtime/schema/graph.schema.json, without meaning yet.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "device/result.hpp"
#include "kernels/tensor.hpp"

namespace cosoc {

struct TensorEntry {
  std::string name;
  TensorType type;
  bool constant = false;
};

struct NodeEntry {
  std::string name;
  std::string op;
  std::vector<std::string> inputs;
  std::vector<std::string> outputs;
  nlohmann::json attributes;
  std::vector<std::string> devices;
  std::string source;
};

struct BundleEntry {
  std::string name;
  std::vector<std::string> inputs;
  std::vector<std::string> outputs;
  std::vector<TensorEntry> tensors;
  std::vector<NodeEntry> nodes;
  bool any_batch = false;
  std::uint64_t weights_bytes = 0;
  std::uint32_t weights_crc32 = 0;
};

/// Parses and checks the text of a `graph.json`. Errors name the place (`nodes[3].devices`), what was expected and what
/// was found; a newer schema is refused before anything else is looked at.
Result<BundleEntry> read_graph_json(std::string_view text);

}  // namespace cosoc
