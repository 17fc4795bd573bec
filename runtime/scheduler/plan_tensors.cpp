/// Memory for a plan's tensors.
#include <algorithm>
#include <cstring>

#include "scheduler/memory_plan.hpp"
#include "scheduler/plan.hpp"
#include "scheduler/sharding.hpp"

namespace cosoc {
namespace {

/// Whether CPU cores, which need no device memory, can read a constant as it lies on the host.
bool lies_right(const Graph::TensorInfo& info) {
  return info.constant && info.type.bytes() == info.type.dense_bytes() &&
         reinterpret_cast<std::uintptr_t>(info.data.data()) % size_of(info.type.dtype) == 0;
}

}  // namespace

Blocks::~Blocks() {
  for (const Block& block : blocks_) memory_.release(block);
}

Result<Block> Blocks::allocate(std::size_t size) {
  auto block = memory_.allocate(size);
  if (block) blocks_.push_back(*block);
  return block;
}

Status place_tensors(const Graph& graph, std::span<const ComputeDevice> devices, const PlanOptions& options,
                     const Plan* first, Plan& plan) {
  const bool on_host = options.has_values && std::ranges::all_of(devices, &ComputeDevice::is_cpu);
  MemoryPlan memory_plan;
  if (!options.keep_tensors) memory_plan = plan_memory(graph);
  memory_plan.places.resize(graph.tensors().size());
  Block arena;
  if (memory_plan.arena_bytes > 0) {
    auto allocated = plan.blocks->allocate(memory_plan.arena_bytes);
    if (!allocated) return tl::make_unexpected(allocated.error());
    arena = *allocated;
  }
  for (std::size_t i = 0; i < graph.tensors().size(); ++i) {
    const auto& info = graph.tensors()[i];
    if (info.constant && first != nullptr) {
      plan.tensors.push_back(first->tensors[i]);
      continue;
    }
    if (on_host && lies_right(info)) {
      // Nobody writes a constant.
      const Block block = {.data = const_cast<std::byte*>(info.data.data()), .size = info.data.size()};
      plan.tensors.push_back({&info.type, block, true});
      continue;
    }
    if (const auto place = memory_plan.places[i]) {
      plan.tensors.push_back(view_of({&info.type, arena}, *place, info.type));
      continue;
    }
    auto allocated = plan.blocks->allocate(info.type.bytes());
    if (!allocated) return tl::make_unexpected(allocated.error());
    plan.tensors.push_back({&info.type, *allocated, info.constant});
    if (info.constant && options.has_values) store(plan.tensors.back(), info.data);
  }
  return {};
}

void store(const TensorView& tensor, std::span<const std::byte> host) {
  if (tensor.type->is_feature_map()) std::memset(tensor.block.data, 0, tensor.type->bytes());
  copy_from_dense(*tensor.type, host.data(), tensor.block.data);
}

void fetch(const TensorView& tensor, std::span<std::byte> host) {
  copy_to_dense(*tensor.type, tensor.block.data, host.data());
}

}  // namespace cosoc
