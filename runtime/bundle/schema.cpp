#include "bundle/schema.hpp"

#include <algorithm>
#include <cmath>
#include <set>

#include "cosoc/bundle.hpp"

namespace cosoc {
namespace {

using nlohmann::json;

constexpr std::size_t max_rank = 8;
constexpr std::int64_t max_axis = 1073741824;

/// A value for a message, shortened.
std::string excerpt(const json& value) {
  std::string text = value.dump();
  if (text.size() > 60) text = text.substr(0, 57) + "...";
  return text;
}

/// Reads values of a JSON tree and keeps the first error; after one, every read gives an empty value.
class Reader {
 public:
  const Status& status() const { return status_; }

  void fail(const std::string& where, const std::string& expected, const std::string& found) {
    if (status_) status_ = failure(where + ": expected " + expected + ", found " + found);
  }

  /// Checks that `value` is an object with all required keys and no unknown ones.
  void object(const json& value, const std::string& where, std::initializer_list<std::string_view> required,
              std::initializer_list<std::string_view> optional = {}) {
    if (!value.is_object()) return fail(where, "an object", excerpt(value));
    for (const std::string_view key : required) {
      if (!value.contains(key)) return fail(where, "the key \"" + std::string(key) + "\"", "none");
    }
    for (const auto& [key, unused] : value.items()) {
      const auto has = [&key](const auto& names) { return std::ranges::find(names, key) != names.end(); };
      if (has(required) || has(optional)) continue;
      std::string known;
      for (const auto& names : {required, optional}) {
        for (const std::string_view name : names) known += (known.empty() ? "" : ", ") + std::string(name);
      }
      return fail(where, "only the keys " + known, "\"" + key + "\"");
    }
  }

  const json& array(const json& parent, const char* key, const std::string& where, std::size_t least = 0) {
    static const json empty = json::array();
    if (!status_) return empty;
    const json& value = parent[key];
    if (!value.is_array() || value.size() < least) {
      fail(where + "." + key, least == 0 ? "an array" : "an array with at least one element", excerpt(value));
      return empty;
    }
    return value;
  }

  std::string string(const json& parent, const char* key, const std::string& where, bool may_be_empty = false) {
    if (!status_) return {};
    const json& value = parent[key];
    if (value.is_string() && (may_be_empty || !value.get_ref<const std::string&>().empty())) return value;
    fail(where + "." + key, may_be_empty ? "a string" : "a string that is not empty", excerpt(value));
    return {};
  }

  std::vector<std::string> strings(const json& parent, const char* key, const std::string& where, std::size_t least = 0,
                                   bool unique = false) {
    std::vector<std::string> result;
    for (const json& item : array(parent, key, where, least)) {
      if (!item.is_string()) {
        fail(where + "." + key, "an array of strings", "the element " + excerpt(item));
        return {};
      }
      if (unique && std::ranges::find(result, item.get_ref<const std::string&>()) != result.end()) {
        fail(where + "." + key, "every element once", excerpt(item) + " twice");
        return {};
      }
      result.push_back(item);
    }
    return result;
  }

  std::int64_t integer(const json& value, const std::string& where, std::int64_t low, std::int64_t high) {
    // Compared as unsigned where it is: a number above 2^63 must not wrap.
    const bool fits =
        value.is_number_unsigned()
            ? value.get<std::uint64_t>() <= static_cast<std::uint64_t>(high) && value.get<std::int64_t>() >= low
            : value.is_number_integer() && value.get<std::int64_t>() >= low && value.get<std::int64_t>() <= high;
    if (fits) return value;
    fail(where, "an integer in " + std::to_string(low) + ".." + std::to_string(high), excerpt(value));
    return low;
  }

 private:
  Status status_;
};

TensorEntry read_tensor(Reader& reader, const json& value, std::string where) {
  reader.object(value, where, {"name", "dtype", "shape"}, {"scale", "zero_point", "constant"});
  TensorEntry entry;
  entry.name = reader.string(value, "name", where);
  if (!reader.status()) return entry;
  where += " (" + entry.name + ")";

  const auto dtype = dtype_of(reader.string(value, "dtype", where));
  if (reader.status() && !dtype)
    reader.fail(where + ".dtype", "float32, int8, int16, int32, complex64, int64 or bool", excerpt(value["dtype"]));
  if (dtype) entry.type.dtype = *dtype;
  for (const json& length : reader.array(value, "shape", where)) {
    entry.type.shape.push_back(reader.integer(length, where + ".shape", 1, max_axis));
  }
  if (entry.type.shape.size() > max_rank) {
    reader.fail(where + ".shape", "at most 8 axes", std::to_string(entry.type.shape.size()));
  }
  if (!reader.status()) return entry;
  if (value.contains("scale")) {
    const json& scale = value["scale"];
    if (scale.is_number()) entry.type.scale = scale.get<float>();
    // A double that is not 0 may be 0 or infinite as a float.
    if (!scale.is_number() || !(entry.type.scale > 0.0F) || std::isinf(entry.type.scale)) {
      reader.fail(where + ".scale", "a number above 0 that a float32 can hold", excerpt(scale));
    }
  }
  if (value.contains("zero_point")) {
    const auto [low, high] = value_range(entry.type.dtype);
    entry.type.zero_point =
        static_cast<std::int32_t>(reader.integer(value["zero_point"], where + ".zero_point", low, high));
  }
  if (value.contains("constant")) {
    if (!value["constant"].is_boolean())
      reader.fail(where + ".constant", "true or false", excerpt(value["constant"]));
    else
      entry.constant = value["constant"];
  }
  return entry;
}

NodeEntry read_node(Reader& reader, const json& value, std::string where) {
  reader.object(value, where, {"name", "op", "inputs", "outputs", "attributes", "devices"}, {"source"});
  NodeEntry entry;
  entry.name = reader.string(value, "name", where);
  if (!reader.status()) return entry;
  where += " (" + entry.name + ")";
  entry.op = reader.string(value, "op", where);
  entry.inputs = reader.strings(value, "inputs", where);
  entry.outputs = reader.strings(value, "outputs", where, 1);
  entry.devices = reader.strings(value, "devices", where, 1, /*unique=*/true);
  entry.attributes = value["attributes"];
  if (!entry.attributes.is_object()) reader.fail(where + ".attributes", "an object", excerpt(entry.attributes));
  if (value.contains("source")) entry.source = reader.string(value, "source", where, /*may_be_empty=*/true);
  return entry;
}

Status check_version(const json& root) {
  if (!root.is_object() || !root.contains("schema")) {
    return failure("expected an object with the key \"schema\", found " + excerpt(root));
  }
  const json& schema = root["schema"];
  if (!schema.is_number_integer()) return failure("schema: expected an integer, found " + excerpt(schema));
  if (schema > bundle_schema) {
    return failure("this bundle is version " + excerpt(schema) + ", this runtime reads " +
                   std::to_string(bundle_schema) +
                   ": build a newer runtime, or convert the model again with the converter of this one");
  }
  if (schema != bundle_schema) {
    return failure("schema: expected " + std::to_string(bundle_schema) + ", found " + excerpt(schema));
  }
  return {};
}

Result<json> parse(std::string_view text) {
  try {
    return json::parse(text);
  } catch (const json::exception& error) {
    return failure(std::string("not valid JSON, perhaps truncated: ") + error.what());
  }
}

}  // namespace

Result<BundleEntry> read_graph_json(std::string_view text) {
  const auto parsed = parse(text);
  if (!parsed) return tl::make_unexpected(parsed.error());
  const json& root = *parsed;
  if (auto version = check_version(root); !version) return tl::make_unexpected(version.error());

  Reader reader;
  BundleEntry entry;
  reader.object(root, "top level", {"schema", "name", "inputs", "outputs", "tensors", "nodes", "weights"},
                {"any_batch"});
  if (reader.status() && root.contains("any_batch")) {
    const json& any_batch = root["any_batch"];
    if (!any_batch.is_boolean()) reader.fail("any_batch", "true or false", excerpt(any_batch));
    entry.any_batch = any_batch == true;
  }
  entry.name = reader.string(root, "name", "top level");
  entry.inputs = reader.strings(root, "inputs", "top level", 1, /*unique=*/true);
  entry.outputs = reader.strings(root, "outputs", "top level", 1, /*unique=*/true);
  for (const json& value : reader.array(root, "tensors", "top level", 1)) {
    entry.tensors.push_back(read_tensor(reader, value, "tensors[" + std::to_string(entry.tensors.size()) + "]"));
    if (!reader.status()) break;
  }
  for (const json& value : reader.array(root, "nodes", "top level")) {
    entry.nodes.push_back(read_node(reader, value, "nodes[" + std::to_string(entry.nodes.size()) + "]"));
    if (!reader.status()) break;
  }
  if (reader.status()) {
    const json& weights = root["weights"];
    reader.object(weights, "weights", {"file", "bytes", "crc32"});
    const std::string file = reader.string(weights, "file", "weights");
    if (reader.status() && file != "weights.safetensors") {
      reader.fail("weights.file", "\"weights.safetensors\"", "\"" + file + "\"");
    }
    if (reader.status()) {
      entry.weights_bytes = static_cast<std::uint64_t>(
          reader.integer(weights["bytes"], "weights.bytes", 0, std::numeric_limits<std::int64_t>::max()));
      entry.weights_crc32 =
          static_cast<std::uint32_t>(reader.integer(weights["crc32"], "weights.crc32", 0, 4294967295LL));
    }
  }
  if (!reader.status()) return tl::make_unexpected(reader.status().error());
  return entry;
}

}  // namespace cosoc
