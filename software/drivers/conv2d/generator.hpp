/// Instructions of a pass.
#pragma once

#include "drivers/conv2d/assembler.hpp"
#include "drivers/conv2d/buffers.hpp"
#include "drivers/conv2d/tiling.hpp"

namespace cosoc::conv2d {

/// A place in memory: a base register of the command and bytes from there, a multiple of 16.
struct Place {
  std::uint32_t base = 0;
  std::uint64_t offset = 0;
  bool operator==(const Place&) const = default;
};

/// The tensors of a pass and its constants.
struct Places {
  Place in;
  Place out;
  Place residual;
  Place constants;
};

/// A program in the making, and what its instructions so far leave in the engine.
struct Engine {
  explicit Engine(const Config& config)
      : assembler(config),
        features(config.feature_words),
        weights(config.weight_steps),
        channels(config.channel_blocks) {}

  Assembler assembler;
  FeatureAllocator features;
  SegmentCache weights;
  SegmentCache channels;
  std::int64_t next_micro = 0;  // free entry of the micro-program memory
  std::int64_t next_key = 0;    // of segments
};

/// A pass with all that is decided about it.
struct PlannedPass {
  const Config& config;
  const Layer& layer;
  const Pass& pass;
  Tiling tiling;
  Residency residency;
  const ConstantLayout& constants;
  Places places;
  bool stored = true;  // else the result only stays in the feature buffer, at `residency.out`
};

/// Adds the instructions of a pass to the program; false, and a program of no use, when the feature buffer or the
/// micro-program memory has no room.
bool generate(const PlannedPass& plan, Engine& engine);

/// Writes a whole tensor that lies in the feature buffer to memory.
void store_tensor(const Config& config, const TensorShape& shape, const ResidentTensor& tensor, const Place& place,
                  Engine& engine);

}  // namespace cosoc::conv2d
