#include "scheduler/plan.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <map>

#include "scheduler/memory_plan.hpp"

namespace cosoc {
namespace {

/// Cleaning or invalidating lines of the caches of a Cortex-A53; an estimate.
constexpr double maintained_bytes_per_second = 4.0e9;

/// Types of a node's tensors, as kernels and drivers ask for them.
struct CallTypes {
  std::vector<TensorType> inputs;
  std::vector<TensorType> outputs;

  CallTypes(const Graph& graph, const Graph::NodeInfo& node) {
    for (const std::size_t index : node.inputs) inputs.push_back(graph.tensors()[index].type);
    for (const std::size_t index : node.outputs) outputs.push_back(graph.tensors()[index].type);
  }
};

std::string join(std::span<const std::string> parts, std::string_view separator) {
  std::string text;
  for (const std::string& part : parts) {
    if (!text.empty()) text += separator;
    text += part;
  }
  return text;
}

/// Finds the expected time on each device; the reasons against each accelerator kind that no device serves.
std::vector<std::string> find_costs(const Graph::NodeInfo& node, const CallTypes& types,
                                    std::span<const ComputeDevice> devices, const SoCDescription& soc,
                                    std::vector<Time>& costs) {
  std::vector<std::string> reasons;
  for (const std::string& kind : node.devices) {
    std::vector<std::string> refusals;
    bool served = false;
    for (std::size_t i = 0; i < devices.size(); ++i) {
      const ComputeDevice& device = devices[i];
      if (device.kind != kind) continue;
      if (device.is_cpu()) {
        costs[i] = cpu_cost(*node.kernel, types.inputs, types.outputs);
        served = true;
      } else if (auto supported = device.driver->supports(*node.kernel, types.inputs, types.outputs); !supported) {
        refusals.push_back(device.name + ": " + supported.error().message);
      } else {
        costs[i] = accelerator_cost(*device.driver, soc, *node.kernel, types.inputs, types.outputs);
        served = true;
      }
    }
    if (served) continue;
    reasons.push_back(refusals.empty() ? "there is no " + kind : join(refusals, "; "));
  }
  return reasons;
}

/// What bringing the inputs from one domain into another takes.
Time movement_cost(const PlannedTask& task, std::span<const ComputeDevice> devices) {
  if (std::ranges::all_of(devices, [](const ComputeDevice& device) { return device.domain == 0; })) return {};
  std::size_t bytes = 0;
  for (const TensorView& input : task.inputs) bytes += input.constant ? 0 : input.block.size;
  return Time(std::llround(static_cast<double>(bytes) / maintained_bytes_per_second * 1e9));
}

/// Upward ranks, from the last task to the first.
void find_ranks(Plan& plan) {
  for (std::size_t i = plan.tasks.size(); i-- > 0;) {
    Time after{};
    for (const std::size_t next : plan.tasks[i].successors) after = std::max(after, plan.tasks[next].rank);
    plan.tasks[i].rank = plan.tasks[i].what.costs->mean + after;
  }
}

Status place_tensors(const Graph& graph, const PlanOptions& options, Plan& plan) {
  const MemoryPlan memory_plan = plan_memory(graph, !options.keep_tensors);
  for (const std::size_t bytes : memory_plan.bytes) {
    if (auto done = plan.blocks->allocate(bytes); !done) return done;
  }
  for (std::size_t i = 0; i < graph.tensors().size(); ++i) {
    const auto& info = graph.tensors()[i];
    Block block = (*plan.blocks)[memory_plan.slot_of[i]];
    block.size = info.type.bytes();
    plan.tensors.push_back({&info.type, block, info.constant});
    if (info.constant && options.has_values) store(plan.tensors.back(), info.data);
  }
  return {};
}

void add_task(const Graph& graph, const Graph::NodeInfo& node, Plan& plan) {
  const std::size_t index = plan.tasks.size();
  PlannedTask task;
  task.what.name = node.name;
  task.what.kernel = node.kernel;
  for (const std::size_t tensor : node.inputs) {
    task.inputs.push_back(plan.tensors[tensor]);
    const auto producer = graph.tensors()[tensor].producer;
    if (!producer) continue;
    auto& successors = plan.tasks[*producer].successors;
    if (std::ranges::find(successors, index) != successors.end()) continue;
    successors.push_back(index);
    ++task.dependencies;
  }
  for (const std::size_t tensor : node.outputs) task.outputs.push_back(plan.tensors[tensor]);
  plan.tasks.push_back(std::move(task));
}

}  // namespace

Blocks::~Blocks() {
  for (const Block& block : blocks_) memory_.release(block);
}

Status Blocks::allocate(std::size_t size) {
  auto block = memory_.allocate(size);
  if (!block) return tl::make_unexpected(block.error());
  blocks_.push_back(*block);
  return {};
}

Result<Plan> make_plan(const Graph& graph, std::span<const ComputeDevice> devices, const SoCDescription& soc,
                       DeviceMemory& memory, const PlanOptions& options) {
  Plan plan{{}, {}, std::make_unique<Blocks>(memory)};
  if (auto placed = place_tensors(graph, options, plan); !placed) {
    return failure("graph " + graph.name() + " does not fit device memory: " + placed.error().message);
  }
  const auto cpu_cores = static_cast<std::size_t>(std::ranges::count_if(devices, &ComputeDevice::is_cpu));
  std::map<std::vector<Time>, std::shared_ptr<const CostRow>> rows;
  for (const auto& node : graph.nodes()) {
    add_task(graph, node, plan);
    PlannedTask& task = plan.tasks.back();
    std::vector<Time> costs(devices.size(), impossible);
    auto reasons = find_costs(node, CallTypes(graph, node), devices, soc, costs);
    if (reasons.size() == node.devices.size()) {
      return failure("node " + node.name + " (" + std::string(node.kernel->name()) +
                     "): no device can run it: " + join(reasons, "; "));
    }
    task.what.reason = join(reasons, "; ");
    task.what.movement = movement_cost(task, devices);
    auto& row = rows[costs];
    if (row == nullptr) row = CostRow::make(std::move(costs), cpu_cores);
    task.what.costs = row;
  }
  find_ranks(plan);
  return plan;
}

void store(const TensorView& tensor, std::span<const std::byte> host) {
  if (tensor.type->is_feature_map()) std::memset(tensor.block.data, 0, tensor.type->bytes());
  copy_from_dense(*tensor.type, host.data(), tensor.block.data);
}

void fetch(const TensorView& tensor, std::span<std::byte> host) {
  copy_to_dense(*tensor.type, tensor.block.data, host.data());
}

}  // namespace cosoc
