#include "scheduler/memory_plan.hpp"

#include <algorithm>
#include <optional>

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

/// A slot that may change hands, and the tensor that has it now.
struct Holder {
  std::size_t slot;
  std::size_t tensor;
};

class Planner {
 public:
  explicit Planner(const Graph& graph) : graph_(graph), ancestors_(find_ancestors(graph)) {}

  MemoryPlan plan() {
    plan_.slot_of.resize(graph_.tensors().size());
    for (std::size_t tensor = 0; tensor < graph_.tensors().size(); ++tensor) {
      const bool shares = may_share(tensor);
      if (const auto taken = shares ? take_slot(tensor) : std::nullopt) {
        plan_.slot_of[tensor] = *taken;
        continue;
      }
      plan_.slot_of[tensor] = plan_.bytes.size();
      if (shares) holders_.push_back({plan_.bytes.size(), tensor});
      plan_.bytes.push_back(graph_.tensors()[tensor].type.bytes());
    }
    return std::move(plan_);
  }

 private:
  /// Intermediate tensors share memory, but those with padding: it is zero from the allocation on, and kernels do not
  /// write it again.
  bool may_share(std::size_t tensor) const {
    const auto& info = graph_.tensors()[tensor];
    const bool is_output = std::ranges::find(graph_.outputs(), tensor) != graph_.outputs().end();
    return info.producer && !is_output && info.type.bytes() == info.type.dense_bytes();
  }

  bool is_dead(std::size_t tensor, std::size_t node) const {
    const auto& info = graph_.tensors()[tensor];
    const auto ended = [&](std::size_t other) { return static_cast<bool>(ancestors_[node][other]); };
    return ended(*info.producer) && std::ranges::all_of(info.readers, ended);
  }

  /// The smallest dead slot that is large enough, else the largest dead one, which grows.
  std::optional<std::size_t> take_slot(std::size_t tensor) {
    const std::size_t need = graph_.tensors()[tensor].type.bytes();
    const std::size_t node = *graph_.tensors()[tensor].producer;
    Holder* best = nullptr;
    for (Holder& holder : holders_) {
      if (!is_dead(holder.tensor, node)) continue;
      if (best == nullptr) {
        best = &holder;
        continue;
      }
      const std::size_t size = plan_.bytes[holder.slot];
      const std::size_t best_size = plan_.bytes[best->slot];
      if (best_size < need ? size > best_size : (size >= need && size < best_size)) best = &holder;
    }
    if (best == nullptr) return std::nullopt;
    best->tensor = tensor;
    plan_.bytes[best->slot] = std::max(plan_.bytes[best->slot], need);
    return best->slot;
  }

  const Graph& graph_;
  std::vector<std::vector<bool>> ancestors_;
  std::vector<Holder> holders_;
  MemoryPlan plan_;
};

}  // namespace

MemoryPlan plan_memory(const Graph& graph, bool reuse) {
  if (reuse) return Planner(graph).plan();
  MemoryPlan plan;
  for (const auto& tensor : graph.tensors()) {
    plan.slot_of.push_back(plan.bytes.size());
    plan.bytes.push_back(tensor.type.bytes());
  }
  return plan;
}

}  // namespace cosoc
