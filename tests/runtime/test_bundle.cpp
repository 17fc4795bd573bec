/// Bundles: a good one, and every kind of bad one.
#include <unistd.h>

#include <algorithm>
#include <array>
#include <catch2/catch.hpp>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <set>

#include "bundle/checksum.hpp"
#include "bundle/safetensors.hpp"
#include "cosoc/cosoc.hpp"

using namespace cosoc;
using nlohmann::json;

namespace {

std::string little_endian(std::uint64_t value) {
  std::string text;
  for (int i = 0; i < 8; ++i) text += static_cast<char>(value >> (8 * i) & 0xFF);
  return text;
}

std::span<const std::byte> bytes_of(const std::string& text) { return std::as_bytes(std::span(text)); }

std::string safetensors(const json& header, std::size_t data_bytes) {
  const std::string text = header.dump();
  return little_endian(text.size()) + text + std::string(data_bytes, '\x01');
}

/// Of one pixel, two channels in and one out: weight, bias and multiplier.
const json weights_header = {{"w", {{"dtype", "I8"}, {"shape", {1, 1, 1, 2}}, {"data_offsets", {0, 2}}}},
                             {"b", {{"dtype", "I32"}, {"shape", {1}}, {"data_offsets", {2, 6}}}},
                             {"m", {{"dtype", "F32"}, {"shape", {1}}, {"data_offsets", {6, 10}}}}};

/// quantize, a convolution, dequantize.
json good_graph(const std::string& weights) {
  return json::parse(R"({
    "schema": 1, "name": "tiny", "inputs": ["x"], "outputs": ["y"],
    "tensors": [
      {"name": "x", "dtype": "float32", "shape": [1, 2, 1, 1]},
      {"name": "q", "dtype": "int8", "shape": [1, 1, 1, 2], "scale": 0.5, "zero_point": 3},
      {"name": "w", "dtype": "int8", "shape": [1, 1, 1, 2], "constant": true},
      {"name": "b", "dtype": "int32", "shape": [1], "constant": true},
      {"name": "m", "dtype": "float32", "shape": [1], "constant": true},
      {"name": "c", "dtype": "int8", "shape": [1, 1, 1, 1], "scale": 0.25, "zero_point": 0},
      {"name": "y", "dtype": "float32", "shape": [1, 1]}
    ],
    "nodes": [
      {"name": "quantize", "op": "quantize", "inputs": ["x"], "outputs": ["q"], "attributes": {}, "devices": ["cpu"]},
      {"name": "conv", "op": "conv2d", "inputs": ["q", "w", "b", "m"], "outputs": ["c"], "devices": ["cpu", "c2d"],
       "attributes": {"stride": [1, 1], "padding": [0, 0, 0, 0], "dilation": [1, 1], "groups": 1, "clamp": [-128, 127]},
       "source": "model.py:3"},
      {"name": "dequantize", "op": "dequantize", "inputs": ["c"], "outputs": ["y"], "attributes": {}, "devices": ["cpu"]}
    ]})")
      .patch(json::array(
          {{{"op", "add"},
            {"path", "/weights"},
            {"value",
             {{"file", "weights.safetensors"}, {"bytes", weights.size()}, {"crc32", crc32(bytes_of(weights))}}}}}));
}

/// A directory for one bundle.
class Folder {
 public:
  Folder() { std::filesystem::create_directories(path); }
  ~Folder() { std::filesystem::remove_all(path); }

  void write(const std::string& graph, const std::string& weights) const {
    std::ofstream(path / "graph.json", std::ios::binary) << graph;
    std::ofstream(path / "weights.safetensors", std::ios::binary) << weights;
  }
  Result<Graph> load(const std::string& graph, const std::string& weights) const {
    write(graph, weights);
    return load_bundle(path);
  }

  const std::filesystem::path path =
      std::filesystem::temp_directory_path() / ("cosoc_test_bundle_" + std::to_string(getpid()));
};

const std::string weights = safetensors(weights_header, 10);

}  // namespace

TEST_CASE("CRC-32 is zlib's") {
  CHECK(crc32(bytes_of("123456789")) == 0xCBF43926);
  CHECK(crc32({}) == 0);
}

TEST_CASE("a good bundle becomes its graph and gives its constants to model.cpp") {
  const Folder folder;
  const auto graph = folder.load(good_graph(weights).dump(), weights);
  if (!graph) FAIL(graph.error().message);
  CHECK(graph->name() == "tiny");
  REQUIRE(graph->nodes().size() == 3);
  CHECK(graph->nodes()[1].kernel->name() == "conv2d");
  CHECK(graph->nodes()[1].devices == std::vector<std::string>{"cpu", "c2d"});
  CHECK(graph->nodes()[1].source == "model.py:3");
  CHECK(graph->tensors()[*graph->find("q")].type == TensorType{DType::int8, {1, 1, 1, 2}, 0.5F, 3});
  CHECK(std::ranges::equal(graph->tensors()[*graph->find("b")].data, std::vector<std::byte>(4, std::byte{1})));

  const auto constants = load_weights(folder.path);
  REQUIRE(constants);
  CHECK(constants->bytes("b", {DType::int32, {1}}).size() == 4);
  CHECK(constants->bytes("b", {DType::float32, {1}}).empty());
  CHECK(constants->bytes("nothing", {DType::int32, {1}}).empty());
}

/// Of the good graph with batches of two, for any batch; the results of so many samples.
Result<std::vector<float>> run_samples(Model& model, std::size_t count, std::size_t results) {
  std::vector<float> x(2 * count);
  for (std::size_t i = 0; i < x.size(); ++i) x[i] = static_cast<float>(i % 7) - 3.0F;
  std::vector<float> y(results, -99.0F);
  const std::array<std::span<const std::byte>, 1> inputs = {std::as_bytes(std::span(x))};
  const std::array<std::span<std::byte>, 1> outputs = {std::as_writable_bytes(std::span(y))};
  if (auto done = model.run(inputs, outputs); !done) return tl::make_unexpected(done.error());
  return y;
}

TEST_CASE("a bundle for any batch runs any number of samples") {
  std::string values = weights;
  const std::array<float, 2> bias_and_multiplier = {0.0F, 0.5F};
  std::memcpy(values.data() + values.size() - 8, bias_and_multiplier.data(), 8);
  json graph = good_graph(values);
  for (const std::size_t index : {0, 1, 5, 6}) graph["tensors"][index]["shape"][0] = 2;
  const Folder folder;
  auto fixed = folder.load(graph.dump(), values);
  graph["any_batch"] = true;
  auto any = folder.load(graph.dump(), values);
  auto session = Session::open({.memory_bytes = 1 << 20, .cpu_cores = 2});
  for (const auto* made : {&fixed, &any}) {
    if (!*made) FAIL(made->error().message);
  }
  REQUIRE(session);
  CHECK(any->any_batch());
  auto one_size = session->load(std::move(*fixed));
  auto model = session->load(std::move(*any));
  REQUIRE((one_size && model));

  const auto all = run_samples(*model, 7, 7);
  REQUIRE(all);
  CHECK(std::set(all->begin(), all->end()).size() > 3);
  for (std::size_t count = 1; count < 7; ++count) {
    const auto found = run_samples(*model, count, count);
    REQUIRE(found);
    CHECK(std::equal(found->begin(), found->end(), all->begin()));
  }
  CHECK(run_samples(*one_size, 2, 2).value() == std::vector(all->begin(), all->begin() + 2));

  const auto message = [](const Result<std::vector<float>>& result) { return result ? "" : result.error().message; };
  CHECK_THAT(message(run_samples(*one_size, 3, 3)), Catch::Contains("takes 16 bytes; given are 24"));
  CHECK_THAT(message(run_samples(*model, 3, 2)),
             Catch::Contains(
                 "outputs y of type float32[2, 1] takes 8 bytes, or as many samples as the others have; given are 8"));
  CHECK_THAT(message(run_samples(*model, 0, 0)), Catch::Contains("takes 16 bytes, or as many"));
  std::vector<std::byte> odd(9), result(4);
  const std::array<std::span<const std::byte>, 1> inputs = {odd};
  const std::array<std::span<std::byte>, 1> outputs = {result};
  CHECK_FALSE(model->run(inputs, outputs));
}

TEST_CASE("every mistake in graph.json is named") {
  struct Case {
    std::string patch;  // RFC 6902, one operation
    std::string expected;
  };
  const auto item = GENERATE(
      Case{R"({"op":"replace","path":"/schema","value":2})", "this bundle is version 2, this runtime reads 1: "},
      Case{R"({"op":"replace","path":"/schema","value":0})", "schema: expected 1, found 0"},
      Case{R"({"op":"replace","path":"/schema","value":"1"})", "schema: expected an integer, found \"1\""},
      Case{R"({"op":"add","path":"/extra","value":1})", "found \"extra\""},
      Case{R"({"op":"remove","path":"/nodes"})", "expected the key \"nodes\""},
      Case{R"({"op":"replace","path":"/nodes","value":{}})", "nodes: expected an array"},
      Case{R"({"op":"replace","path":"/name","value":""})", "name: expected a string that is not empty"},
      Case{R"({"op":"replace","path":"/inputs","value":["x","x"]})", "every element once"},
      Case{R"({"op":"replace","path":"/inputs","value":["none"]})", "input none is not declared"},
      Case{R"({"op":"replace","path":"/inputs","value":["w"]})", "input w is declared a constant"},
      Case{R"({"op":"replace","path":"/outputs","value":["none"]})", "output none is not declared"},
      Case{R"({"op":"replace","path":"/outputs","value":["x"]})", "output x is not made by a node"},
      Case{R"({"op":"replace","path":"/tensors/1/dtype","value":"int4"})", "tensors[1] (q).dtype: expected float32"},
      Case{R"({"op":"replace","path":"/tensors/1/shape/3","value":0})", "tensors[1] (q).shape: expected an integer in"},
      Case{R"({"op":"replace","path":"/tensors/1/shape/3","value":18446744073709551615})", "tensors[1] (q).shape"},
      Case{R"({"op":"replace","path":"/tensors/0/shape","value":[1073741824,1073741824,1073741824]})", "2^40"},
      Case{R"({"op":"replace","path":"/tensors/1/scale","value":0})", "(q).scale: expected a number above 0"},
      Case{R"({"op":"replace","path":"/tensors/1/scale","value":1e-60})", "(q).scale: expected a number above 0"},
      Case{R"({"op":"replace","path":"/tensors/1/zero_point","value":128})", "(q).zero_point"},
      Case{R"({"op":"replace","path":"/tensors/1/name","value":"x"})", "tensor x is declared twice"},
      Case{R"({"op":"add","path":"/tensors/0","value":{"name":"u","dtype":"int8","shape":[1]}})",
           "tensor u is neither"},
      Case{R"({"op":"replace","path":"/nodes/1/op","value":"conv3d"})", "conv2d"},
      Case{R"({"op":"replace","path":"/nodes/1/name","value":"quantize"})", "two nodes named quantize"},
      Case{R"({"op":"replace","path":"/nodes/1/inputs/0","value":"y"})",
           "node conv: input y is used before a node makes it"},
      Case{R"({"op":"replace","path":"/nodes/1/inputs/0","value":"none"})", "node conv: input none is not declared"},
      Case{R"({"op":"replace","path":"/nodes/1/outputs/0","value":"q"})", "node conv: output q is already"},
      Case{R"({"op":"replace","path":"/nodes/1/outputs","value":[]})", "at least one element"},
      Case{R"({"op":"replace","path":"/nodes/1/devices","value":[]})", "nodes[1] (conv).devices"},
      Case{R"({"op":"replace","path":"/nodes/1/devices","value":["cpu",1]})", "an array of strings"},
      Case{R"({"op":"replace","path":"/nodes/1/attributes","value":[]})", "(conv).attributes: expected an object"},
      Case{R"({"op":"remove","path":"/nodes/1/attributes/groups"})", "groups"},
      Case{R"({"op":"replace","path":"/tensors/5/shape","value":[1,1,1,9]})", "node conv (model.py:3)"},
      Case{R"({"op":"replace","path":"/tensors/3/dtype","value":"float32"})",
           "constant b: expected float32[1], weights.safetensors has I32[1]"},
      Case{R"({"op":"replace","path":"/tensors/3/shape","value":[2]})", "weights.safetensors has I32[1]"},
      Case{R"({"op":"replace","path":"/tensors/3/name","value":"bb"})", "constant bb is not in weights.safetensors"},
      Case{R"({"op":"replace","path":"/weights/file","value":"../w"})", "weights.file"},
      Case{R"({"op":"replace","path":"/weights/bytes","value":-1})", "weights.bytes"},
      Case{R"({"op":"replace","path":"/weights/bytes","value":9})", "graph.json expects 9 bytes"},
      Case{R"({"op":"replace","path":"/weights/crc32","value":9})", "corrupted or of another bundle"});
  CAPTURE(item.patch);
  const json graph = good_graph(weights).patch(json::array({json::parse(item.patch)}));
  const Folder folder;
  const auto loaded = folder.load(graph.dump(), weights);
  REQUIRE_FALSE(loaded);
  CHECK_THAT(loaded.error().message, Catch::Contains(item.expected) && Catch::Contains(folder.path.string()));
}

TEST_CASE("a cycle is a use before the definition") {
  json graph = good_graph(weights);
  std::swap(graph["nodes"][1], graph["nodes"][2]);
  const auto loaded = Folder().load(graph.dump(), weights);
  REQUIRE_FALSE(loaded);
  CHECK_THAT(loaded.error().message, Catch::Contains("node dequantize: input c is used before a node makes it"));
}

TEST_CASE("a bundle cut short at any length is refused") {
  const Folder folder;
  const std::string graph = good_graph(weights).dump();
  for (std::size_t length = 0; length < graph.size(); ++length) {
    CHECK_FALSE(folder.load(graph.substr(0, length), weights));
  }
  for (std::size_t length = 0; length < weights.size(); ++length) {
    CHECK_FALSE(folder.load(graph, weights.substr(0, length)));
  }
  std::filesystem::remove(folder.path / "weights.safetensors");
  CHECK_FALSE(load_bundle(folder.path));
  CHECK_FALSE(load_bundle(folder.path / "missing"));
}

TEST_CASE("flipped bits are found in the weights and survived in the graph") {
  const Folder folder;
  const std::string graph = good_graph(weights).dump();
  for (std::size_t bit = 0; bit < 8 * weights.size(); bit += 3) {
    std::string damaged = weights;
    damaged[bit / 8] = static_cast<char>(damaged[bit / 8] ^ (1 << bit % 8));
    CHECK_FALSE(folder.load(graph, damaged));
  }
  for (std::size_t bit = 0; bit < 8 * graph.size(); bit += 5) {
    std::string damaged = graph;
    damaged[bit / 8] = static_cast<char>(damaged[bit / 8] ^ (1 << bit % 8));
    const auto loaded = folder.load(damaged, weights);
    // Some flips only change a name or a number; the graph is then still a valid one.
    if (loaded)
      CHECK(loaded->check());
    else
      CHECK_FALSE(loaded.error().message.empty());
  }
}

TEST_CASE("hostile safetensors files are refused") {
  const auto refused = [](const std::string& file, const std::string& expected) {
    const auto read = read_safetensors(bytes_of(file));
    REQUIRE_FALSE(read);
    CHECK_THAT(read.error().message, Catch::Contains(expected));
  };
  const auto entry = [](json offsets) {
    return json{{"dtype", "I8"}, {"shape", {2}}, {"data_offsets", std::move(offsets)}};
  };
  refused("", "truncated");
  refused(little_endian(~0ULL) + "{}", "header's length is 18446744073709551615");
  refused(little_endian(2) + "[]", "not a JSON object");
  refused(little_endian(3) + "{\"a", "not a JSON object");
  refused(safetensors({{"a", 1}}, 0), "tensor a: expected an object");
  refused(safetensors({{"a", entry({0, 3})}}, 2), "not inside the 2 bytes");
  refused(safetensors({{"a", entry({2, 0})}}, 2), "not inside");
  refused(safetensors({{"a", entry({0, 18446744073709551615ULL})}}, 2), "not inside");
  refused(safetensors({{"a", entry({-1, 2})}}, 2), "two integers from 0 up");
  refused(safetensors({{"a", entry({0, 2})}, {"b", entry({1, 3})}}, 3), "the one before ends at 2");
  refused(safetensors({{"a", entry({0, 2})}, {"b", entry({3, 5})}}, 5), "begins at byte 3");
  refused(safetensors({{"a", entry({0, 2})}}, 3), "end at byte 2 of 3");
}
