#include "drivers/conv2d/packing.hpp"

#include <algorithm>
#include <cstring>
#include <string>

namespace cosoc::conv2d {
namespace {

constexpr std::int64_t pixel_bytes = 16;
constexpr std::int64_t window_columns = 3;

/// Reads the weights of a layer by the places of the hardware.
class WeightReader {
 public:
  WeightReader(const Config& config, const Layer& layer, const Pass& pass, std::span<const std::int8_t> weight)
      : config_(config),
        layer_(layer),
        pass_(pass),
        weight_(weight),
        in_group_(layer.in_channels / layer.groups),
        out_group_(layer.out_channels / layer.groups),
        pitch_(divide_up(in_group_, pixel_bytes) * pixel_bytes) {}

  /// The weight of output channel `out` for channel `lane` of word `word` of its block's reduction, or with windows for
  /// tap `lane` of that word and its neighbours.
  std::int8_t at(std::int64_t out, std::int64_t word, std::int64_t lane) const {
    if (out >= layer_.out_channels) return 0;
    if (pass_.fold) {
      const auto& [row, column, channel] =
          pass_.fold->values[static_cast<std::size_t>(word)][static_cast<std::size_t>(lane)];
      return row < 0 ? std::int8_t{0} : weight_at(out, row, column, channel);
    }
    const std::int64_t tap = word / pass_.block_words;
    const auto columns = static_cast<std::int64_t>(pass_.columns.taps.size());
    const std::int64_t row = pass_.rows.kernel[static_cast<std::size_t>(tap / columns)];
    const auto tap_column = static_cast<std::size_t>(tap % columns);
    std::int64_t column = 0;
    std::int64_t channel = 0;  // of the input tensor
    if (pass_.window) {
      column = lane < window_columns ? lane : -1;
      channel = out / out_group_ * in_group_;
    } else {
      const std::int64_t first = pass_.first_words[static_cast<std::size_t>(out / config_.output_lanes)];
      column = pass_.columns.kernel[tap_column];
      channel = (first + word % pass_.block_words) * word_channels(config_) + lane;
    }
    const std::int64_t of_group = channel - out / out_group_ * in_group_;
    if (row < 0 || column < 0 || of_group < 0 || of_group >= in_group_) return 0;
    return weight_at(out, row, column, of_group);
  }

  /// What a phase of a transposed convolution does not multiply: the sum of the weights of an output channel whose taps
  /// it does not have. They meet places between the inputs, which have the zero point.
  std::int64_t sum_of_missing(std::int64_t out) const {
    if (layer_.kind != Kind::transposed_convolution || out >= layer_.out_channels) return 0;
    const auto has = [](const Axis& axis, std::int64_t tap) {
      return std::find(axis.kernel.begin(), axis.kernel.end(), tap) != axis.kernel.end();
    };
    std::int64_t sum = 0;
    for (std::int64_t row = 0; row < layer_.kernel.rows; ++row) {
      for (std::int64_t column = 0; column < layer_.kernel.columns; ++column) {
        if (has(pass_.rows, row) && has(pass_.columns, column)) continue;
        for (std::int64_t i = 0; i < in_group_; ++i) sum += weight_at(out, row, column, i);
      }
    }
    return sum;
  }

 private:
  std::int8_t weight_at(std::int64_t out, std::int64_t row, std::int64_t column, std::int64_t of_group) const {
    if (weight_.empty()) return 1;
    const std::int64_t position = (out * layer_.kernel.rows + row) * layer_.kernel.columns + column;
    return weight_[static_cast<std::size_t>(position * pitch_ + of_group)];
  }

  const Config& config_;
  const Layer& layer_;
  const Pass& pass_;
  std::span<const std::int8_t> weight_;
  std::int64_t in_group_;
  std::int64_t out_group_;
  std::int64_t pitch_;
};

template <class T>
void put(std::span<std::byte> packed, std::int64_t offset, T value) {
  std::memcpy(packed.data() + offset, &value, sizeof value);
}

void pack_channels(const Config& config, const Layer& layer, const Pass& pass, const WeightReader& weights,
                   std::int64_t offset, const Constants& constants, std::span<std::byte> packed) {
  const std::int64_t channels = pass.out_blocks * config.output_lanes;
  for (std::int64_t channel = 0; channel < channels; ++channel, offset += channel_bytes(config)) {
    const bool exists = channel < layer.out_channels;
    std::int64_t bias = exists ? constants.bias[static_cast<std::size_t>(channel)] : 0;
    bias += layer.in_zero_point * weights.sum_of_missing(channel);
    const float multiplier = exists ? constants.multiplier[static_cast<std::size_t>(channel)] : 1.0F;
    if (config.activation_bits == 8) {
      put(packed, offset, static_cast<std::int32_t>(bias));  // modulo 2^32, as all sums
      put(packed, offset + 4, multiplier);
    } else {
      put(packed, offset, bias);
      put(packed, offset + 8, multiplier);
      put(packed, offset + 12, std::uint32_t{0});
    }
  }
}

void pack_segment(const Config& config, const Pass& pass, const WeightReader& weights, const WeightSegment& segment,
                  std::span<std::byte> packed) {
  const std::int64_t input_lanes = config.input_lanes;
  const std::int64_t port_bytes = step_bytes(config) / config.memory_ports;
  for (std::int64_t step = 0; step < segment.steps; ++step) {
    const std::int64_t of_word = word_steps(config, pass);
    const std::int64_t word_step = step % of_word;
    const std::int64_t word = segment.first_word + step / of_word % segment.words;
    const std::int64_t block = segment.first_block + step / of_word / segment.words;
    for (std::int64_t byte = 0; byte < step_bytes(config); ++byte) {
      const std::int64_t port = byte / port_bytes;
      const std::int64_t place = segment.offset + (port * segment.steps + step) * port_bytes + byte % port_bytes;
      put(packed, place,
          weights.at(block * config.output_lanes + byte / input_lanes, word,
                     word_step * input_lanes + byte % input_lanes));
    }
  }
}

}  // namespace

ConstantLayout make_layout(const Config& config, const Pass& pass, std::int64_t blocks, std::int64_t words) {
  ConstantLayout layout;
  if (!pass.computes) return layout;
  layout.bytes = pass.out_blocks * config.output_lanes * channel_bytes(config);
  for (std::int64_t block = 0; block < pass.out_blocks; block += blocks) {
    const std::int64_t part = std::min(blocks, pass.out_blocks - block);
    const std::int64_t most = part > 1 ? pass.reduction() : std::min(words, pass.reduction());
    for (std::int64_t word = 0; word < pass.reduction(); word += most) {
      WeightSegment segment = {block, part, word, std::min(most, pass.reduction() - word), layout.bytes, 0};
      segment.steps = segment.blocks * segment.words * word_steps(config, pass);
      layout.bytes += segment.steps * step_bytes(config);
      layout.segments.push_back(segment);
    }
  }
  return layout;
}

Status check_constants(const Layer& layer, const Constants& constants) {
  const auto channels = static_cast<std::size_t>(layer.out_channels);
  if (constants.bias.size() != channels || constants.multiplier.size() != channels) {
    return failure("the layer has " + std::to_string(channels) + " output channels, but there are " +
                   std::to_string(constants.bias.size()) + " biases and " +
                   std::to_string(constants.multiplier.size()) + " multipliers");
  }
  if (constants.weight.empty()) return {};
  const std::int64_t depth = divide_up(layer.in_channels / layer.groups, pixel_bytes) * pixel_bytes;
  const auto bytes = static_cast<std::ptrdiff_t>(layer.out_channels * layer.kernel.rows * layer.kernel.columns * depth);
  if (std::ssize(constants.weight) < bytes) {
    return failure("the weight has " + std::to_string(constants.weight.size()) + " bytes, the layer needs " +
                   std::to_string(bytes));
  }
  const auto end = constants.weight.begin() + bytes;
  if (std::find(constants.weight.begin(), end, std::int8_t{-128}) != end) {
    return failure("a weight is -128; the engine multiplies weights of -127..127: quantize them symmetrically");
  }
  return {};
}

void pack(const Config& config, const Layer& layer, const Pass& pass, const ConstantLayout& layout,
          const Constants& constants, std::span<std::byte> packed) {
  if (!pass.computes) return;
  const WeightReader weights(config, layer, pass, constants.weight);
  pack_channels(config, layer, pass, weights, layout.channel_offset, constants, packed);
  for (const WeightSegment& segment : layout.segments) pack_segment(config, pass, weights, segment, packed);
}

}  // namespace cosoc::conv2d
