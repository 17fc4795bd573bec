/// Runs the layers of a network on one Conv2D accelerator: the part of `bench/conv2d.py` that needs the compiler.
///
///     conv2d-network model|rtl NETWORK.json
///
/// The file has `soc` (a soc.json; its first accelerator must be a Conv2D), `seed` and `programs`, lists of layers with
/// the members of bench/support/networks.py; kernel, stride, padding and dilation may be lists, `kind` may be
/// "max_pooling" (of the input alone, by `pool`), and `clamp` may have the least and the greatest result. The layers of
/// a list become one program; results that later layers read reach memory only when there is no room on chip or they
/// are `kept`. The schedule tells how long each program takes and what it moves; with `rtl` it also runs in the
/// simulated SoC on random tensors and constants, one program after the other, and every tensor is compared with the
/// functional model. Prints a JSON list: for each program `estimated`, and with `rtl` what the counters say.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <fstream>
#include <iostream>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <random>
#include <tuple>

#include "device/platform.hpp"
#include "drivers/conv2d/compiler.hpp"
#include "drivers/conv2d/machine.hpp"
#include "drivers/driver.hpp"

namespace {

using namespace cosoc;
using namespace cosoc::conv2d;
using nlohmann::json;

/// What cannot be done ends the program with a message.
template <class T>
T value_of(Result<T> result) {
  if (!result) throw std::runtime_error(result.error().message);
  return std::move(*result);
}

void require(const Status& status) {
  if (!status) throw std::runtime_error(status.error().message);
}

std::uint64_t aligned(std::uint64_t bytes) { return (bytes + 63) & ~std::uint64_t{63}; }

/// Bytes of a pixel, and of the weights of a kernel position.
std::int64_t pixel_pitch(std::int64_t channels) { return divide_up(channels, 16) * 16; }

std::uint64_t tensor_bytes_of(std::int64_t rows, std::int64_t columns, std::int64_t channels) {
  return static_cast<std::uint64_t>(rows * columns * pixel_pitch(channels));
}

/// The layers with places for their tensors, all behind base register 0.
struct Network {
  std::vector<LayerCall> calls;
  std::uint64_t bytes = 0;
};

/// A number for all, or a list.
template <std::size_t count>
std::array<std::int64_t, count> numbers(const json& value) {
  if (value.is_array()) return value.get<std::array<std::int64_t, count>>();
  std::array<std::int64_t, count> same{};
  same.fill(value.get<std::int64_t>());
  return same;
}

Size size_of(const json& value) {
  const auto [rows, columns] = numbers<2>(value);
  return {rows, columns};
}

Padding padding_of(const json& value) {
  const auto [top, left, bottom, right] = numbers<4>(value);
  return {top, left, bottom, right};
}

Layer layer_of(const json& entry) {
  Layer layer;
  layer.in = {entry.at("rows").get<std::int64_t>(), entry.at("columns").get<std::int64_t>()};
  layer.in_channels = entry.at("channels").get<std::int64_t>();
  layer.out_channels = entry.at("filters").get<std::int64_t>();
  layer.kernel = size_of(entry.at("kernel"));
  layer.stride = size_of(entry.at("stride"));
  layer.padding = padding_of(entry.at("padding"));
  layer.dilation = size_of(entry.value("dilation", json(1)));
  layer.groups = entry.at("groups").get<std::int64_t>();
  if (entry.value("kind", "convolution") == "max_pooling") layer.kind = Kind::max_pooling;
  layer.in_zero_point = 3;
  layer.out_zero_point = -2;
  if (entry.contains("clamp") && !entry.at("clamp").is_null()) {
    std::tie(layer.clamp_min, layer.clamp_max) = entry.at("clamp").get<std::pair<std::int32_t, std::int32_t>>();
  }
  if (!entry.at("residual").is_null()) layer.residual = Residual{0.75F, -5};
  if (!entry.at("pool").is_null()) {
    const auto [window, step, around] = entry.at("pool").get<std::array<std::int64_t, 3>>();
    layer.pooling = MaxPooling{{window, window}, {step, step}, {around, around, around, around}};
  }
  return layer;
}

Network network_of(const json& layers) {
  Network network;
  std::map<std::string, Place> places;
  const auto place = [&](const std::string& name, std::uint64_t bytes) {
    const auto found = places.find(name);
    if (found != places.end()) return found->second;
    const Place made{0, network.bytes};
    network.bytes += aligned(bytes);
    places.emplace(name, made);
    return made;
  };
  for (const json& entry : layers) {
    const Layer layer = layer_of(entry);
    const Size out = output_size(layer);
    const Size convolved = convolved_size(layer);
    LayerCall call{.layer = layer, .in = {}, .out = {}, .residual = {}};
    call.in = place(entry.at("input"), tensor_bytes_of(layer.in.rows, layer.in.columns, layer.in_channels));
    if (layer.residual) {
      call.residual =
          place(entry.at("residual"), tensor_bytes_of(convolved.rows, convolved.columns, layer.out_channels));
    }
    call.out = place(entry.at("output"), tensor_bytes_of(out.rows, out.columns, layer.out_channels));
    const std::string output = entry.at("output");
    const bool read = std::any_of(layers.begin(), layers.end(), [&](const json& reader) {
      return reader.at("input") == output || reader.at("residual") == output;
    });
    call.temporary = read && !entry.value("kept", false);
    network.calls.push_back(call);
  }
  return network;
}

/// Random constants of a layer; multipliers keep its results in the range of int8.
void pack_random(const Compiler& compiler, const PackedConstants& call, std::mt19937& random,
                 std::span<std::byte> packed) {
  const Layer& layer = call.layer;
  const std::int64_t depth = layer.in_channels / layer.groups;
  const std::int64_t products = layer.kernel.rows * layer.kernel.columns * depth;
  std::vector<std::int8_t> weight(
      static_cast<std::size_t>(layer.out_channels * layer.kernel.rows * layer.kernel.columns * pixel_pitch(depth)));
  for (auto& value : weight) value = static_cast<std::int8_t>(static_cast<int>(random() % 255) - 127);
  const auto channels = static_cast<std::size_t>(layer.out_channels);
  std::vector<std::int32_t> bias(channels);
  for (auto& value : bias) value = static_cast<std::int32_t>(random() % 2001) - 1000;
  const std::vector<float> multiplier(channels, 0.008F / std::sqrt(static_cast<float>(products)));
  require(compiler.pack_constants(call, {weight, bias, multiplier}, packed));
}

/// Gives a program to an accelerator.
class Runner final : public Driver {
 public:
  Runner(Device& device, DeviceMemory& memory) : Driver(device, memory) { require(open("Conv2D", kind, layout_hash)); }

  Status supports(const Kernel&, std::span<const TensorType>, std::span<const TensorType>) const override {
    return failure("programs only");
  }
  std::uint64_t estimate_cycles(const Kernel&, std::span<const TensorType>,
                                std::span<const TensorType>) const override {
    return 0;
  }
  void run(const Command& command) {
    const CommandWords words = command.encode();
    submit({&words, 1});
  }
  /// The counters of 64 bits since the reset, in their order on the page.
  std::array<std::uint64_t, 5> counters_since_reset() const {
    std::array<std::uint64_t, 5> values{};
    for (std::size_t i = 0; i < values.size(); ++i) {
      const std::uint32_t offset = page::cycles_busy_lo + 8 * static_cast<std::uint32_t>(i);
      values[i] = device_.read32(offset) | std::uint64_t{device_.read32(offset + 4)} << 32;
    }
    return values;
  }

 protected:
  Result<std::vector<CommandWords>> commands(const Kernel&, std::span<const TensorView>,
                                             std::span<const TensorView>) override {
    return failure("programs only");
  }
};

/// Makes the padding channels of all results equal: they are unspecified.
void clear_padding(const Network& network, std::span<std::byte> tensors) {
  for (const LayerCall& call : network.calls) {
    const Size out = output_size(call.layer);
    const std::int64_t channels = call.layer.out_channels;
    const std::int64_t pitch = pixel_pitch(channels);
    auto* pixel = tensors.data() + call.out.offset;
    for (std::int64_t i = 0; i < out.rows * out.columns; ++i, pixel += pitch) {
      std::fill(pixel + channels, pixel + pitch, std::byte{0});
    }
  }
}

/// A block that begins a page of 4 KB, as the schedule takes it.
class Pages {
 public:
  Pages(DeviceMemory& memory, std::size_t bytes)
      : memory_(memory), whole_(value_of(memory.allocate(bytes + page))), block_(whole_) {
    const std::size_t before = (page - whole_.physical % page) % page;
    block_.data += before;
    block_.physical += before;
    block_.size = bytes;
  }
  ~Pages() { memory_.release(whole_); }
  Pages(const Pages&) = delete;
  Pages& operator=(const Pages&) = delete;

  const Block& block() const { return block_; }

 private:
  static constexpr std::size_t page = 4096;

  DeviceMemory& memory_;
  Block whole_;
  Block block_;
};

/// A simulated SoC, and a program for its first accelerator at a time.
class Rtl {
 public:
  Rtl(const SoCDescription& soc, const Config& config)
      : config_(config),
        platform_(value_of(make_rtl_platform(soc))),
        memory_(platform_->memory()),
        runner_(platform_->accelerator(0), memory_) {}

  /// Runs a program on random data; what the counters say, and whether all tensors are right.
  json run(const Network& network, const Program& program, std::uint32_t seed) {
    const Pages tensor_pages(memory_, network.bytes);
    const Pages constant_pages(memory_, program.constant_bytes);
    const Pages instruction_pages(memory_, program.instructions.size() * sizeof(std::uint32_t));
    const Block& tensors = tensor_pages.block();
    const Block& constants = constant_pages.block();
    const Block& instructions = instruction_pages.block();
    std::mt19937 random(seed);
    for (std::size_t i = 0; i < tensors.size; ++i) tensors.data[i] = static_cast<std::byte>(random());
    const Compiler compiler(config_);
    for (const PackedConstants& call : program.constants) {
      pack_random(compiler, call, random, {constants.data, constants.size});
    }
    std::memcpy(instructions.data, program.instructions.data(), instructions.size);

    Command command;
    command.instruction_address = instructions.physical;
    command.instruction_count = program.instruction_count();
    command.base0 = tensors.physical;
    command.base2 = constants.physical;
    const std::vector<std::byte> before(tensors.data, tensors.data + tensors.size);
    json result = execute(command);

    std::vector<std::byte> found(tensors.data, tensors.data + tensors.size);
    std::copy(before.begin(), before.end(), tensors.data);
    Machine machine(config_);
    CommandMemory window(memory_, memory_.physical(), memory_.physical() + memory_.region().size() - 1);
    if (machine.run(command, window) != ErrorCode::none) throw std::runtime_error("the functional model refuses it");
    clear_padding(network, found);
    clear_padding(network, {tensors.data, tensors.size});
    result["bit_exact"] = std::equal(found.begin(), found.end(), tensors.data);
    return result;
  }

 private:
  json execute(const Command& command) {
    const auto before = runner_.counters_since_reset();
    runner_.run(command);
    while (!value_of(runner_.service())) {
      constexpr Time limit{1'000'000'000};
      if (!value_of(platform_->advance(platform_->now() + limit))) throw std::runtime_error("the program does not end");
    }
    const auto after = runner_.counters_since_reset();
    constexpr std::array names = {"cycles", "cycles_starved", "cycles_blocked", "beats_read", "beats_written"};
    json result;
    for (std::size_t i = 0; i < names.size(); ++i) result[names[i]] = after[i] - before[i];
    return result;
  }

  Config config_;
  std::unique_ptr<SimulatedPlatform> platform_;
  DeviceMemory& memory_;
  Runner runner_;
};

int run(const std::string& mode, const std::string& path) {
  std::ifstream file(path);
  if (!file) throw std::runtime_error("cannot read " + path);
  const json description = json::parse(file);
  const SoCDescription soc = value_of(SoCDescription::load(description.at("soc").get<std::string>()));
  std::array<std::uint32_t, Config::names.size()> parameters{};
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    parameters[i] = soc.accelerators.at(0).config.at(std::string(Config::names[i]));
  }
  const Config config = Config::from(parameters);
  const auto latency = static_cast<double>(soc.memory_latency_cycles());
  std::optional<Rtl> rtl;
  if (mode == "rtl") rtl.emplace(soc, config);
  json results = json::array();
  for (const json& layers : description.at("programs")) {
    const Network network = network_of(layers);
    const Program program = value_of(Compiler(config, latency).compile(network.calls, {2, 0}));
    const Schedule estimate = schedule(config, program.instructions, latency);
    json result;
    if (rtl) result = rtl->run(network, program, description.at("seed").get<std::uint32_t>());
    result["estimated"] = {{"cycles", estimate.cycles},
                           {"cycles_starved", estimate.starved},
                           {"cycles_blocked", estimate.blocked},
                           {"beats_read", estimate.beats_read},
                           {"beats_written", estimate.beats_written}};
    results.push_back(std::move(result));
  }
  std::cout << results.dump() << '\n';
  return 0;
}

}  // namespace

int main(int count, char** arguments) try {
  const std::vector<std::string> words(arguments + 1, arguments + count);
  if (words.size() != 2 || (words[0] != "model" && words[0] != "rtl")) {
    std::cerr << "usage: conv2d-network model|rtl NETWORK.json\n";
    return 2;
  }
  return run(words[0], words[1]);
} catch (const std::exception& error) {
  std::cerr << "conv2d-network: " << error.what() << '\n';
  return 1;
}
