#include "scheduler/memory_plan.hpp"

#include <algorithm>

#include "device/memory.hpp"

namespace cosoc {
namespace {

/// For every node, the nodes that must have ended before it starts.
std::vector<std::vector<bool>> find_ancestors(const Graph& graph) {
  const std::size_t count = graph.nodes().size();
  std::vector<std::vector<bool>> ancestors(count, std::vector<bool>(count));
  for (std::size_t node = 0; node < count; ++node) {
    for (const std::size_t input : graph.nodes()[node].inputs) {
      const auto producer = graph.tensors()[input].producer;
      if (!producer) continue;
      ancestors[node][*producer] = true;
      for (std::size_t i = 0; i < *producer; ++i) {
        if (ancestors[*producer][i]) ancestors[node][i] = true;
      }
    }
  }
  return ancestors;
}

std::size_t aligned(std::size_t bytes) {
  return (bytes + DeviceMemory::alignment - 1) / DeviceMemory::alignment * DeviceMemory::alignment;
}

class Planner {
 public:
  explicit Planner(const Graph& graph) : graph_(graph), ancestors_(find_ancestors(graph)) {}

  MemoryPlan plan() {
    std::vector<std::size_t> order;
    for (std::size_t tensor = 0; tensor < graph_.tensors().size(); ++tensor) {
      if (graph_.tensors()[tensor].producer) order.push_back(tensor);
    }
    std::ranges::stable_sort(order, std::ranges::greater(), [this](std::size_t tensor) { return bytes(tensor); });
    plan_.places.resize(graph_.tensors().size());
    for (const std::size_t tensor : order) place(tensor);
    return std::move(plan_);
  }

 private:
  struct Placed {
    std::size_t begin;
    std::size_t tensor;
  };

  std::size_t bytes(std::size_t tensor) const { return aligned(graph_.tensors()[tensor].type.bytes()); }

  /// Whether nobody needs a tensor any more when a node starts.
  bool is_dead(std::size_t tensor, std::size_t node) const {
    const auto& info = graph_.tensors()[tensor];
    const auto ended = [&](std::size_t other) { return static_cast<bool>(ancestors_[node][other]); };
    const bool is_output = std::ranges::find(graph_.outputs(), tensor) != graph_.outputs().end();
    return !is_output && ended(*info.producer) && std::ranges::all_of(info.readers, ended);
  }

  bool may_overlap(std::size_t a, std::size_t b) const {
    return is_dead(a, *graph_.tensors()[b].producer) || is_dead(b, *graph_.tensors()[a].producer);
  }

  void place(std::size_t tensor) {
    std::size_t begin = 0;
    for (const Placed& other : placed_) {
      if (begin + bytes(tensor) <= other.begin) break;
      if (!may_overlap(tensor, other.tensor)) begin = std::max(begin, other.begin + bytes(other.tensor));
    }
    const auto after = std::ranges::upper_bound(placed_, begin, {}, &Placed::begin);
    placed_.insert(after, {begin, tensor});
    plan_.places[tensor] = begin;
    plan_.arena_bytes = std::max(plan_.arena_bytes, begin + bytes(tensor));
  }

  const Graph& graph_;
  std::vector<std::vector<bool>> ancestors_;
  std::vector<Placed> placed_;  // by place
  MemoryPlan plan_;
};

}  // namespace

MemoryPlan plan_memory(const Graph& graph) { return Planner(graph).plan(); }

}  // namespace cosoc
