/// Which tensors share device memory.
#pragma once

#include <cstddef>
#include <optional>
#include <vector>

#include "cosoc/graph.hpp"

namespace cosoc {

/// Tensors with a place lie in one arena, at their places; the others have memory of their own.
struct MemoryPlan {
  std::vector<std::optional<std::size_t>>
      places;  // by tensor: bytes from the start of the arena, aligned as blocks are
  std::size_t arena_bytes = 0;
};

/// Intermediate tensors and outputs of the graph lie in the arena. Two of them may overlap when the producer and all
/// readers of the one are ancestors of the producer of the other: they have ended before it starts in whatever order,
/// and on however many devices, the graph runs. Larger ones are placed first, each at the lowest place that is free.
MemoryPlan plan_memory(const Graph& graph);

}  // namespace cosoc
