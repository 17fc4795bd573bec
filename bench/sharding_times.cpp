/// Measures what splitting layers over two Conv2D engines saves, and prints the figures as JSON: VGG-16's convolutions
/// by the cost model, and with the path of a SoC of two engines some of them on its RTL model.
#include <iostream>
#include <nlohmann/json.hpp>

#include "cosoc/operations.hpp"
#include "session/session_state.hpp"

using namespace cosoc;

namespace {

/// A 3x3 convolution with padding, perhaps with a max pooling of 2x2.
struct Layer {
  std::int64_t extent;
  std::int64_t channels;
  std::int64_t filters;
  bool pooled = false;
};

const std::vector<Layer> vgg16 = {
    {224, 3, 64},   {224, 64, 64, true},  {112, 64, 128},      {112, 128, 128, true}, {56, 128, 256},
    {56, 256, 256}, {56, 256, 256, true}, {28, 256, 512},      {28, 512, 512},        {28, 512, 512, true},
    {14, 512, 512}, {14, 512, 512},       {14, 512, 512, true}};

Graph make_graph(std::span<const Layer> layers) {
  Graph graph("layers");
  const auto map = [](std::int64_t extent, std::int64_t channels) {
    return TensorType{DType::int8, {1, extent, extent, channels}, 0.1F, 0};
  };
  const auto constant = [&](const std::string& name, const TensorType& type) {
    return graph.constant(name, type, std::vector<std::byte>(type.dense_bytes(), std::byte{1}));
  };
  Tensor x = graph.input("x", map(layers[0].extent, layers[0].channels));
  for (std::size_t i = 0; i < layers.size(); ++i) {
    const Layer& layer = layers[i];
    const std::string name = "conv" + std::to_string(i + 1);
    Conv2DOptions options{.padding = {1, 1, 1, 1}};
    if (layer.pooled) options.pool = MaxPool2DOptions{};
    x = conv2d(graph, name, x, constant(name + ".weight", {DType::int8, {layer.filters, 3, 3, layer.channels}}),
               constant(name + ".bias", {DType::int32, {layer.filters}}),
               constant(name + ".multiplier", {DType::float32, {layer.filters}}), options,
               map(layer.pooled ? layer.extent / 2 : layer.extent, layer.filters), {.devices = {"c2d"}});
  }
  graph.output(x);
  return graph;
}

/// Engines of 512 multiply-accumulates per cycle, 300 MHz.
SoCDescription make_soc(std::size_t engines) {
  SoCDescription soc;
  soc.board = "sim";
  soc.clock_hz = 300000000;
  soc.cpu_cores = 1;
  soc.memory_bytes = std::size_t{256} << 20;
  for (std::size_t i = 0; i < engines; ++i) {
    soc.accelerators.push_back({"c2d" + std::to_string(i),
                                "c2d",
                                0xA0000000 + 0x10000 * i,
                                0x10000,
                                static_cast<std::uint32_t>(89 + i),
                                {i == 0 ? "HP0" : "HP3"},
                                0,
                                {{"activation_bits", 8},
                                 {"input_lanes", 16},
                                 {"output_lanes", 16},
                                 {"pixel_lanes", 2},
                                 {"feature_words", 16384},
                                 {"weight_steps", 1024},
                                 {"channel_blocks", 128},
                                 {"memory_ports", 1},
                                 {"memory_port_bits", 128}}});
  }
  return soc;
}

/// Simulated time of a run, in us; negative when it failed.
double time_of(Session session, std::span<const Layer> layers) {
  auto model = session.load(make_graph(layers));
  if (!model) {
    std::cerr << model.error().message << "\n";
    return -1;
  }
  const auto& graph = model->graph();
  const std::vector<std::byte> input(graph.tensors()[graph.inputs()[0]].type.dense_bytes());
  std::vector<std::byte> output(graph.tensors()[graph.outputs()[0]].type.dense_bytes());
  const std::span<const std::byte> from = input;
  const std::span<std::byte> to = output;
  if (const auto done = model->run({&from, 1}, {&to, 1}); !done) {
    std::cerr << done.error().message << "\n";
    return -1;
  }
  return 1e-3 * static_cast<double>((model->report().end - model->report().start).count());
}

double time_by_model(std::size_t engines) {
  const SoCDescription soc = make_soc(engines);
  auto platform = make_functional_platform(soc);
  if (!platform) return -1;
  auto state = SessionState::make({.mode = Mode::model}, soc, std::move(*platform));
  return state ? time_of(Session(*state), vgg16) : -1;
}

double time_in_rtl(const std::string& soc, bool shard, const Layer& layer) {
  auto session = Session::open({.mode = Mode::rtl, .soc = soc, .shard = shard});
  if (!session) std::cerr << session.error().message << "\n";
  return session ? time_of(*session, {&layer, 1}) : -1;
}

}  // namespace

int main(int count, char** arguments) {
  nlohmann::ordered_json figures;
  figures["vgg16"] = {{"one", time_by_model(1)}, {"two", time_by_model(2)}};
  for (const Layer& layer : {vgg16[4], vgg16[7], vgg16[10]}) {
    if (count < 2) break;
    const std::string name =
        std::to_string(layer.extent) + "x" + std::to_string(layer.channels) + "x" + std::to_string(layer.filters);
    figures["rtl"][name] = {{"one", time_in_rtl(arguments[1], false, layer)},
                            {"two", time_in_rtl(arguments[1], true, layer)}};
  }
  std::cout << figures.dump() << "\n";
}
