#include "drivers/conv2d_packing.hpp"

#include <algorithm>
#include <cstring>

namespace cosoc {
namespace {

struct ChannelParameters {
  std::int32_t bias;
  float multiplier;
};

std::size_t block_count(const TensorType& weight, const conv2d::Config& config) {
  return (static_cast<std::size_t>(weight.shape[0]) + config.output_lanes - 1) / config.output_lanes;
}

/// Weights of one lane of one step: the real channels of a word, then zeros.
void pack_word(const TensorView& weight, std::size_t channel, std::size_t position, std::size_t word,
               std::int8_t* packed) {
  const auto positions = static_cast<std::size_t>(weight.type->shape[1] * weight.type->shape[2]);
  const auto depth = static_cast<std::size_t>(weight.type->shape[3]);
  const std::size_t count = std::min(word_channels, depth - word * word_channels);
  const auto* source = weight.as<std::int8_t>() + (channel * positions + position) * weight.type->pixel_pitch();
  std::copy_n(source + word * word_channels, count, packed);
}

}  // namespace

PackedLayout packed_layout(const TensorType& weight, const conv2d::Config& config) {
  const std::size_t channels = block_count(weight, config) * config.output_lanes;
  const std::size_t steps =
      static_cast<std::size_t>(weight.shape[1] * weight.shape[2]) * weight.pixel_pitch() / word_channels;
  const std::size_t weight_bytes = channels * steps * word_channels;
  return {.channel_offset = weight_bytes, .bytes = weight_bytes + channels * sizeof(ChannelParameters)};
}

void pack_constants(const TensorView& weight, const TensorView& bias, const TensorView& multiplier,
                    std::size_t part_words, const conv2d::Config& config, std::span<std::byte> packed) {
  const TensorType& type = *weight.type;
  const auto channels = static_cast<std::size_t>(type.shape[0]);
  const auto positions = static_cast<std::size_t>(type.shape[1] * type.shape[2]);
  const std::size_t words = type.pixel_pitch() / word_channels;
  const std::size_t lanes = config.output_lanes;
  const std::size_t blocks = block_count(type, config);
  std::fill(packed.begin(), packed.end(), std::byte{0});

  auto* target = reinterpret_cast<std::int8_t*>(packed.data());
  for (std::size_t part = 0; part < words; part += part_words) {
    const std::size_t part_end = std::min(part + part_words, words);
    for (std::size_t block = 0; block < blocks; ++block) {
      for (std::size_t position = 0; position < positions; ++position) {
        for (std::size_t word = part; word < part_end; ++word) {
          for (std::size_t lane = 0; lane < lanes; ++lane, target += word_channels) {
            const std::size_t channel = block * lanes + lane;
            if (channel < channels) pack_word(weight, channel, position, word, target);
          }
        }
      }
    }
  }

  std::byte* parameters = packed.data() + packed_layout(type, config).channel_offset;
  for (std::size_t channel = 0; channel < channels; ++channel, parameters += sizeof(ChannelParameters)) {
    const ChannelParameters values{bias.as<std::int32_t>()[channel], multiplier.as<float>()[channel]};
    std::memcpy(parameters, &values, sizeof(values));
  }
}

}  // namespace cosoc
