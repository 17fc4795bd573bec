/// Layers that are split over several accelerators.
#pragma once

#include <span>
#include <vector>

#include "kernels/conv2d_rows.hpp"
#include "scheduler/plan.hpp"

namespace cosoc {

/// A call that makes some rows of a layer's output.
struct Shard {
  TaskTemplate what;
  Rows input;     // of the feature map that the layer reads
  Rows residual;  // of its residual
  Rows output;
};

/// Splits a convolution of one image by rows of its output, in proportion to what the accelerators that may run it can
/// do, if that is expected to pay: every part reads the whole weights. Nothing otherwise. `whole` is the layer's own
/// template. Which device runs which part is the policy's to say.
std::vector<Shard> make_shards(const CallDescription& call, const TaskTemplate& whole,
                               std::span<const ComputeDevice> devices, const SoCDescription& soc,
                               const CostModel* measured);

/// Rows of a feature map of one image, with the type that they have by themselves.
TensorView view_rows(const TensorView& tensor, Rows rows, const TensorType& type);
TensorType type_of_rows(const TensorType& type, Rows rows);

}  // namespace cosoc
