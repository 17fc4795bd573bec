/// Layers that are split over several accelerators.
#pragma once

#include <span>
#include <vector>

#include "scheduler/plan.hpp"

namespace cosoc {

/// A part of a tensor that is contiguous in memory, with the type that it has by itself.
struct Slice {
  TensorType type;
  std::size_t offset = 0;  // bytes
};

/// A call that makes a part of a layer's output.
struct Shard {
  TaskTemplate what;
  std::vector<Slice> inputs;
  Slice output;
};

/// Splits a convolution of one image in proportion to what the accelerators that may run it can do, if that is expected
/// to pay: by rows of its output, where every part reads the whole weights; or, when the output is a single pixel, by
/// its channels, where every part reads the whole input. Nothing otherwise. `whole` is the layer's own template. Which
/// device runs which part is the policy's to say.
std::vector<Shard> make_shards(const CallDescription& call, const TaskTemplate& whole,
                               std::span<const ComputeDevice> devices, const SoCDescription& soc,
                               const CostModel* measured);

/// `type` is the slice's, and lives as long as the view.
TensorView view_of(const TensorView& tensor, std::size_t offset, const TensorType& type);

}  // namespace cosoc
