/// Which tensors share device memory.
#pragma once

#include <cstddef>
#include <vector>

#include "cosoc/graph.hpp"

namespace cosoc {

/// Every tensor lies at the start of a slot; a slot serves one tensor after the other.
struct MemoryPlan {
  std::vector<std::size_t> slot_of;  // by tensor
  std::vector<std::size_t> bytes;    // by slot
};

/// Inputs, constants and outputs of the graph, and feature maps with padding, get slots of their own. With `reuse`, an
/// intermediate tensor may take the slot of another one whose producer and readers are all ancestors of its own
/// producer: they have ended before it starts in whatever order, and on however many devices, the graph runs.
MemoryPlan plan_memory(const Graph& graph, bool reuse);

}  // namespace cosoc
