/// The constants of a pass as WEIGHTS and CHANNELS expect them in memory.
#pragma once

#include <span>

#include "drivers/conv2d/pass.hpp"

namespace cosoc::conv2d {

/// The constants of a layer as the caller has them.
struct Constants {
  /// (out_channels, kernel rows, kernel columns, in_channels / groups), the last axis padded to 16 bytes; none: all 1.
  std::span<const std::int8_t> weight;
  std::span<const std::int32_t> bias;  // of each output channel, with -in_zero_point * sum of all weights
  std::span<const float> multiplier;   // of each output channel, positive
};

/// One WEIGHTS instruction: consecutive blocks of output channels, and of each the words first .. first + words - 1 of
/// its reduction (all of them when there are several blocks).
struct WeightSegment {
  std::int64_t first_block = 0;
  std::int64_t blocks = 1;
  std::int64_t first_word = 0;
  std::int64_t words = 0;
  std::int64_t offset = 0;  // bytes from the beginning of the pass's constants
  std::int64_t steps = 0;
};

/// Where the constants of a pass lie: the channel parameters of all blocks, then the weights by segment.
struct ConstantLayout {
  std::vector<WeightSegment> segments;
  std::int64_t channel_offset = 0;  // bytes
  std::int64_t bytes = 0;
};

/// A layout whose segments have `blocks` blocks, or parts of the reduction of one block of at most `words` words.
ConstantLayout make_layout(const Config& config, const Pass& pass, std::int64_t blocks, std::int64_t words);

/// Fails when sizes do not fit, or a weight is -128, which the packed multipliers cannot represent.
Status check_constants(const Layer& layer, const Constants& constants);

/// Fills `packed`, of `layout.bytes` bytes, from constants that `check_constants` accepted.
void pack(const Config& config, const Layer& layer, const Pass& pass, const ConstantLayout& layout,
          const Constants& constants, std::span<std::byte> packed);

inline std::int64_t channel_bytes(const Config& config) { return config.activation_bits == 8 ? 8 : 16; }
inline std::int64_t step_bytes(const Config& config) { return std::int64_t{config.input_lanes} * config.output_lanes; }
/// Steps of a word of the reduction.
inline std::int64_t word_steps(const Config& config, const Pass& pass) {
  return pass.window ? 1 : word_channels(config) / config.input_lanes;
}

}  // namespace cosoc::conv2d
