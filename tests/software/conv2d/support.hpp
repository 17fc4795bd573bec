/// Layers of the Conv2D engine for tests: random data, a plain reference, and execution by the functional model.
#pragma once

#include <catch2/catch.hpp>
#include <cstring>
#include <limits>
#include <random>

#include "drivers/conv2d/compiler.hpp"
#include "drivers/conv2d/machine.hpp"
#include "drivers/conv2d/program_checker.hpp"
#include "kernels/arithmetic.hpp"

namespace cosoc::conv2d::test {

/// Average over windows: a depthwise convolution without weights (all are 1).
inline Layer average_pooling(std::int64_t images, Size in, std::int64_t channels, Size window, Size stride) {
  Layer layer;
  layer.images = images;
  layer.in = in;
  layer.in_channels = layer.out_channels = layer.groups = channels;
  layer.kernel = window;
  layer.stride = stride;
  return layer;
}

/// A product with a matrix: one pixel for each row of the batch.
inline Layer fully_connected(std::int64_t batch, std::int64_t in_features, std::int64_t out_features) {
  Layer layer;
  layer.images = batch;
  layer.in_channels = in_features;
  layer.out_channels = out_features;
  return layer;
}

/// Sum of two tensors: the input, without weights, and the residual.
inline Layer elementwise_add(std::int64_t images, Size in, std::int64_t channels, Residual residual) {
  Layer layer = average_pooling(images, in, channels, {1, 1}, {1, 1});
  layer.residual = residual;
  return layer;
}

/// Values of a feature map, dense: images, rows, columns, channels.
struct Map {
  std::int64_t images = 1;
  Size size;
  std::int64_t channels = 1;
  std::vector<std::int32_t> values = {};

  Map(std::int64_t images, Size size, std::int64_t channels)
      : images(images),
        size(size),
        channels(channels),
        values(static_cast<std::size_t>(images * size.rows * size.columns * channels)) {}
  std::int32_t& at(std::int64_t image, std::int64_t y, std::int64_t x, std::int64_t channel) {
    return values[static_cast<std::size_t>(((image * size.rows + y) * size.columns + x) * channels + channel)];
  }
  std::int32_t at(std::int64_t image, std::int64_t y, std::int64_t x, std::int64_t channel) const {
    return const_cast<Map&>(*this).at(image, y, x, channel);
  }
  bool holds(std::int64_t y, std::int64_t x) const { return y >= 0 && y < size.rows && x >= 0 && x < size.columns; }

  /// Bytes as they lie in memory, pixels padded to 16 bytes with a value that nobody may use.
  std::vector<std::byte> stored(const Config& config) const {
    const std::int64_t bytes = config.activation_bits / 8;
    const std::int64_t pitch = divide_up(channels, word_channels(config)) * 16;
    std::vector<std::byte> storage(static_cast<std::size_t>(images * size.rows * size.columns * pitch),
                                   std::byte{0x77});
    for (std::size_t i = 0; i < values.size(); ++i) {
      const auto channel = static_cast<std::int64_t>(i) % channels;
      const auto pixel = static_cast<std::int64_t>(i) / channels;
      std::memcpy(storage.data() + pixel * pitch + channel * bytes, &values[i], static_cast<std::size_t>(bytes));
    }
    return storage;
  }
  void read(const Config& config, const std::byte* storage) {
    const std::int64_t bytes = config.activation_bits / 8;
    const std::int64_t pitch = divide_up(channels, word_channels(config)) * 16;
    for (std::size_t i = 0; i < values.size(); ++i) {
      const auto channel = static_cast<std::int64_t>(i) % channels;
      const std::byte* place = storage + static_cast<std::int64_t>(i) / channels * pitch + channel * bytes;
      if (bytes == 1) {
        values[i] = static_cast<std::int8_t>(*place);
      } else {
        std::int16_t value = 0;
        std::memcpy(&value, place, sizeof value);
        values[i] = value;
      }
    }
  }
};

/// Constants and residual of a layer.
struct Data {
  std::vector<std::int8_t> weight;  // dense: out, kernel rows, kernel columns, in / groups
  std::vector<std::int8_t> stored_weight;
  std::vector<std::int32_t> bias;
  std::vector<float> multiplier;

  Constants constants() const { return {stored_weight, bias, multiplier}; }
};

inline Map random_map(const Config& config, std::int64_t images, Size size, std::int64_t channels,
                      std::mt19937& random) {
  Map map(images, size, channels);
  const std::int32_t most = (1 << (config.activation_bits - 1)) - 1;
  for (auto& value : map.values) value = std::uniform_int_distribution<std::int32_t>(-most - 1, most)(random);
  return map;
}

inline Data random_data(const Config& config, const Layer& layer, bool weights, std::mt19937& random) {
  Data data;
  const auto draw = [&](std::int32_t low, std::int32_t high) {
    return std::uniform_int_distribution<std::int32_t>(low, high)(random);
  };
  const std::int64_t depth = layer.in_channels / layer.groups;
  const std::int64_t pitch = divide_up(depth, 16) * 16;
  const std::int64_t positions = layer.out_channels * layer.kernel.rows * layer.kernel.columns;
  data.weight.resize(static_cast<std::size_t>(positions * depth), 1);
  if (weights) {
    data.stored_weight.resize(static_cast<std::size_t>(positions * pitch), 0x55);
    for (std::size_t i = 0; i < data.weight.size(); ++i) {
      data.weight[i] = static_cast<std::int8_t>(draw(-127, 127));
      const auto at = static_cast<std::int64_t>(i);
      data.stored_weight[static_cast<std::size_t>(at / depth * pitch + at % depth)] = data.weight[i];
    }
  }
  const float products = static_cast<float>(depth * layer.kernel.rows * layer.kernel.columns);
  const float range = weights ? 70.0F : 1.0F;
  const float width = config.activation_bits == 8 ? 1.0F : 0.5F;
  for (std::int64_t i = 0; i < layer.out_channels; ++i) {
    data.bias.push_back(draw(-3000, 3000));
    data.multiplier.push_back(width * static_cast<float>(draw(50, 150)) / 100.0F / (range * std::sqrt(products)));
  }
  return data;
}

/// The sum of products at a position of the result.
inline std::int64_t sum_at(const Layer& layer, const Data& data, const Map& in, std::int64_t image, std::int64_t y,
                           std::int64_t x, std::int64_t out) {
  const std::int64_t depth = layer.in_channels / layer.groups;
  const std::int64_t first = out / (layer.out_channels / layer.groups) * depth;
  std::int64_t sum = 0;
  for (std::int64_t ky = 0; ky < layer.kernel.rows; ++ky) {
    for (std::int64_t kx = 0; kx < layer.kernel.columns; ++kx) {
      std::int64_t row = y * layer.stride.rows - layer.padding.top + ky * layer.dilation.rows;
      std::int64_t column = x * layer.stride.columns - layer.padding.left + kx * layer.dilation.columns;
      if (layer.kind == Kind::transposed_convolution) {
        row = y + layer.padding.top - ky * layer.dilation.rows;
        column = x + layer.padding.left - kx * layer.dilation.columns;
        const bool between = row % layer.stride.rows != 0 || column % layer.stride.columns != 0;
        row = between ? -1 : row / layer.stride.rows;
        column /= layer.stride.columns;
      }
      for (std::int64_t i = 0; i < depth; ++i) {
        const std::int64_t at = ((out * layer.kernel.rows + ky) * layer.kernel.columns + kx) * depth + i;
        const std::int32_t value = in.holds(row, column) ? in.at(image, row, column, first + i) : layer.in_zero_point;
        sum += std::int64_t{data.weight[static_cast<std::size_t>(at)]} * value;
      }
    }
  }
  return sum;
}

template <class Activation>
Map convolved(const Layer& layer, const Data& data, const Map& in, const Map* residual) {
  Map out(layer.images, convolved_size(layer), layer.out_channels);
  const std::array clamp = {static_cast<std::int16_t>(layer.clamp_min), static_cast<std::int16_t>(layer.clamp_max)};
  for (std::int64_t image = 0; image < layer.images; ++image) {
    for (std::int64_t y = 0; y < out.size.rows; ++y) {
      for (std::int64_t x = 0; x < out.size.columns; ++x) {
        for (std::int64_t channel = 0; channel < layer.out_channels; ++channel) {
          const auto at = static_cast<std::size_t>(channel);
          const std::int64_t sum = sum_at(layer, data, in, image, y, x, channel) + data.bias[at];
          std::int64_t added = 0;
          if (residual != nullptr) {
            const double scale = std::ldexp(layer.residual->multiplier, residual_fraction<Activation>);
            added = (residual->at(image, y, x, channel) - layer.residual->zero_point) * std::llround(scale);
          }
          out.at(image, y, x, channel) =
              requantize_with_residual<Activation>(sum, data.multiplier[at], added, layer.out_zero_point, clamp);
        }
      }
    }
  }
  return out;
}

template <class Activation>
Map pooled(const Layer& layer, const Map& in) {
  if (!layer.pooling) return in;
  const auto& [window, stride, padding] = *layer.pooling;
  Map out(in.images, output_size(layer), in.channels);
  for (std::int64_t image = 0; image < in.images; ++image) {
    for (std::int64_t y = 0; y < out.size.rows; ++y) {
      for (std::int64_t x = 0; x < out.size.columns; ++x) {
        for (std::int64_t channel = 0; channel < in.channels; ++channel) {
          std::int32_t most = std::numeric_limits<Activation>::min();
          for (std::int64_t row = y * stride.rows - padding.top, end = row + window.rows; row < end; ++row) {
            for (std::int64_t column = x * stride.columns - padding.left, last = column + window.columns; column < last;
                 ++column) {
              if (in.holds(row, column)) most = std::max(most, in.at(image, row, column, channel));
            }
          }
          out.at(image, y, x, channel) = most;
        }
      }
    }
  }
  return out;
}

/// What a layer should give.
inline Map expected(const Config& config, const Layer& layer, const Data& data, const Map& in, const Map* residual) {
  const auto of = [&]<class Activation>(Activation) {
    return layer.kind == Kind::max_pooling
               ? pooled<Activation>(layer, in)
               : pooled<Activation>(layer, convolved<Activation>(layer, data, in, residual));
  };
  return config.activation_bits == 8 ? of(std::int8_t{}) : of(std::int16_t{});
}

/// Device memory with a machine that runs programs there, after the checker has found their waits right.
class Bench {
 public:
  static constexpr std::uint64_t physical = 0x1000'0000;
  static constexpr std::size_t region = std::size_t{1} << 22;

  explicit Bench(const Config& config)
      : bytes_(8 * region), memory_(bytes_, physical), machine_(config), checker_(config) {}

  std::byte* at(std::size_t base) { return bytes_.data() + base * region; }
  std::span<std::byte> bytes(std::size_t base) { return {at(base), region}; }
  void put(std::size_t base, const std::vector<std::byte>& data) {
    REQUIRE(data.size() <= region);
    std::memcpy(at(base), data.data(), data.size());
  }

  void run(const Program& program) {
    REQUIRE(program.instructions.size() * 4 <= region);
    std::memcpy(at(7), program.instructions.data(), program.instructions.size() * 4);
    const auto base = [](std::size_t index) { return physical + index * region; };
    const Command command = {.instruction_address = base(7),
                             .instruction_count = program.instruction_count(),
                             .base0 = base(0),
                             .base1 = base(1),
                             .base2 = base(2),
                             .base3 = base(3),
                             .base4 = base(4),
                             .base5 = base(5)};
    const Status waits = checker_.check(command, program.instructions);
    INFO((waits ? "" : waits.error().message));
    REQUIRE(waits);
    CommandMemory memory(memory_, physical, physical + bytes_.size() - 1);
    REQUIRE(machine_.run(command, memory) == ErrorCode::none);
    REQUIRE(memory.error() == ErrorCode::none);
  }

 private:
  std::vector<std::byte> bytes_;
  DeviceMemory memory_;
  Machine machine_;
  ProgramChecker checker_;
};

inline void compare(const Map& wanted, const Map& found) {
  std::size_t wrong = 0;
  while (wrong < wanted.values.size() && wanted.values[wrong] == found.values[wrong]) ++wrong;
  CAPTURE(wrong, wanted.values.size(), wanted.size.rows, wanted.size.columns, wanted.channels);
  const bool equal = wrong == wanted.values.size();
  REQUIRE(equal);
}

/// Compiles a layer, runs it on random data and compares every value.
inline Program check_layer(Bench& bench, const Config& config, const Layer& layer, unsigned seed, bool weights = true) {
  std::mt19937 random(seed);
  const Compiler compiler(config);
  const auto program = compiler.compile(layer);
  INFO((program ? "" : program.error().message));
  REQUIRE(program);
  const Map in = random_map(config, layer.images, layer.in, layer.in_channels, random);
  const Map residual = random_map(config, layer.images, convolved_size(layer), layer.out_channels, random);
  const Data data = random_data(config, layer, weights, random);
  bench.put(0, in.stored(config));
  bench.put(3, residual.stored(config));
  const Status packed = compiler.pack_constants(program->constants[0], data.constants(), bench.bytes(2));
  REQUIRE(packed);
  bench.run(*program);
  const Map wanted = expected(config, layer, data, in, layer.residual ? &residual : nullptr);
  Map found = wanted;
  found.read(config, bench.at(1));
  compare(wanted, found);
  return *program;
}

inline Config config_of(std::uint32_t input_lanes, std::uint32_t output_lanes, std::uint32_t pixel_lanes,
                        std::uint32_t activation_bits, std::uint32_t memory_ports, std::uint32_t feature_words = 4096,
                        std::uint32_t weight_steps = 1024) {
  return {activation_bits, input_lanes, output_lanes, pixel_lanes, feature_words, weight_steps, 64, memory_ports, 128};
}

inline std::vector<Config> configs() {
  return {config_of(4, 4, 2, 8, 1, 2048, 512), config_of(8, 8, 4, 8, 2),  config_of(16, 16, 8, 8, 2),
          config_of(8, 8, 2, 16, 1),           config_of(16, 8, 1, 8, 1), config_of(4, 8, 16, 16, 2)};
}

}  // namespace cosoc::conv2d::test
