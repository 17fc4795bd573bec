#include "scheduler/plan.hpp"

#include <algorithm>
#include <cmath>
#include <map>
#include <optional>

#include "kernels/prepare.hpp"
#include "scheduler/plan_schedule.hpp"
#include "scheduler/sharding.hpp"

namespace cosoc {
namespace {

/// Cleaning or invalidating lines of the caches of a Cortex-A53; an estimate.
constexpr double maintained_bytes_per_second = 4.0e9;

std::string join(std::span<const std::string> parts, std::string_view separator) {
  std::string text;
  for (const std::string& part : parts) {
    if (!text.empty()) text += separator;
    text += part;
  }
  return text;
}

/// Finds the estimated time on each device; the reasons against each accelerator kind that no device serves.
std::vector<std::string> find_costs(const CallDescription& call, std::span<const ComputeDevice> devices,
                                    const SoCDescription& soc, std::vector<Time>& costs) {
  std::vector<std::string> reasons;
  for (const std::string& kind : call.devices) {
    std::vector<std::string> refusals;
    bool served = false;
    for (std::size_t i = 0; i < devices.size(); ++i) {
      const ComputeDevice& device = devices[i];
      if (device.kind != kind) continue;
      if (device.is_cpu()) {
        costs[i] = cpu_cost(*call.kernel, call.inputs, call.outputs);
        served = true;
      } else if (auto supported = device.driver->supports(call.kernel->on(kind), call.inputs, call.outputs);
                 !supported) {
        refusals.push_back(device.name + ": " + supported.error().message);
      } else {
        costs[i] = accelerator_cost(*device.driver, soc, call.kernel->on(kind), call.inputs, call.outputs);
        if (call.is_outside) costs[i] += copy_cost(call.inputs) + copy_cost(call.outputs);
        served = true;
      }
    }
    if (served) continue;
    reasons.push_back(refusals.empty() ? "there is no " + kind : join(refusals, "; "));
  }
  return reasons;
}

/// Replaces estimates by what measurement makes of them.
void correct(const CostModel& measured, const CostRow::Call& call, std::span<const ComputeDevice> devices,
             std::vector<Time>& costs) {
  for (std::size_t i = 0; i < devices.size(); ++i) {
    if (costs[i] >= impossible) continue;
    const double ratio = measured.ratio(devices[i].cost_class, call.kernel, call.description);
    costs[i] = std::max(Time{1}, Time(std::llround(ratio * static_cast<double>(costs[i].count()))));
  }
}

/// What bringing inputs from one domain into another takes.
Time movement_cost(std::size_t bytes, std::span<const ComputeDevice> devices) {
  if (std::ranges::all_of(devices, [](const ComputeDevice& device) { return device.domain == 0; })) return {};
  return Time(std::llround(static_cast<double>(bytes) / maintained_bytes_per_second * 1e9));
}

/// A kernel with packed constants in the place of one that only CPU cores can run.
std::shared_ptr<const Kernel> prepare(const Graph::NodeInfo& node, const CallDescription& call, const Plan& plan,
                                      std::span<const ComputeDevice> devices, const std::vector<Time>& costs) {
  for (std::size_t i = 0; i < devices.size(); ++i) {
    if (!devices[i].is_cpu() && costs[i] < impossible) return nullptr;
  }
  const auto* kernel = dynamic_cast<const Preparable*>(call.kernel.get());
  if (kernel == nullptr) return nullptr;
  std::vector<TensorView> inputs;
  for (const std::size_t tensor : node.inputs) inputs.push_back(plan.tensors[tensor]);
  return kernel->prepare(inputs, call.outputs);
}

/// The call of a node.
CallDescription describe(const Graph& graph, const Graph::NodeInfo& node) {
  CallDescription call{.name = node.name, .kernel = node.kernel, .inputs = {}, .outputs = {}, .devices = node.devices};
  for (const std::size_t index : node.inputs) {
    const auto& info = graph.tensors()[index];
    call.inputs.push_back(info.type);
    call.moved_bytes += info.constant ? 0 : info.type.bytes();
  }
  for (const std::size_t index : node.outputs) call.outputs.push_back(graph.tensors()[index].type);
  return call;
}

/// Rows of costs by call and costs.
using RowTable = std::map<std::pair<std::string, std::vector<Time>>, std::shared_ptr<CostRow>>;

/// Tasks of equal calls share one row.
void share_row(TaskTemplate& what, RowTable& rows) {
  std::pair key{what.costs->description(), what.costs->all()};
  what.costs = rows.try_emplace(std::move(key), what.costs).first->second;
}

/// Makes a plan's tasks of a graph's nodes.
class Planner {
 public:
  Planner(const Graph& graph, Plan& plan) : graph_(graph), plan_(plan) {}

  /// The next node as one task.
  void add(TaskTemplate what) {
    const std::size_t first = plan_.tasks.size();
    PlannedTask& task = append(std::move(what));
    for (const std::size_t tensor : node().inputs) task.inputs.push_back(plan_.tensors[tensor]);
    for (const std::size_t tensor : node().outputs) task.outputs.push_back(plan_.tensors[tensor]);
    end_node(first);
  }

  /// The next node as several tasks, which read parts of its inputs and write parts of its output.
  void add(std::vector<Shard> shards) {
    const std::size_t first = plan_.tasks.size();
    for (Shard& shard : shards) {
      PlannedTask& task = append(std::move(shard.what));
      for (std::size_t i = 0; i < node().inputs.size(); ++i) {
        task.inputs.push_back(view(plan_.tensors[node().inputs[i]], shard.inputs[i]));
      }
      task.outputs.push_back(view(plan_.tensors[node().outputs[0]], shard.output));
    }
    end_node(first);
  }

 private:
  struct Range {
    std::size_t begin;
    std::size_t end;
  };

  const Graph::NodeInfo& node() const { return graph_.nodes()[tasks_of_.size()]; }

  PlannedTask& append(TaskTemplate what) {
    PlannedTask& task = plan_.tasks.emplace_back();
    task.what = std::move(what);
    task.node = tasks_of_.size();
    task.node_name = node().name;
    return task;
  }

  TensorView view(const TensorView& tensor, Slice& slice) {
    return view_of(tensor, slice.offset, plan_.parts.emplace_back(std::move(slice.type)));
  }

  /// Every task of the node follows every task of those that make its inputs.
  void end_node(std::size_t first) {
    std::vector<std::size_t> producers;
    for (const std::size_t tensor : node().inputs) {
      const auto producer = graph_.tensors()[tensor].producer;
      if (producer && std::ranges::find(producers, *producer) == producers.end()) producers.push_back(*producer);
    }
    for (std::size_t index = first; index < plan_.tasks.size(); ++index) {
      for (const std::size_t producer : producers) {
        for (std::size_t before = tasks_of_[producer].begin; before < tasks_of_[producer].end; ++before) {
          plan_.tasks[before].successors.push_back(index);
          ++plan_.tasks[index].dependencies;
        }
      }
    }
    tasks_of_.push_back({first, plan_.tasks.size()});
  }

  const Graph& graph_;
  Plan& plan_;
  std::vector<Range> tasks_of_;  // by node, of those that were added
};

}  // namespace

std::vector<std::string> kinds_of(std::span<const ComputeDevice> devices) {
  std::vector<std::string> list;
  for (const ComputeDevice& device : devices) {
    if (std::ranges::find(list, device.kind) == list.end()) list.push_back(device.kind);
  }
  return list;
}

Result<TaskTemplate> make_template(const CallDescription& call, std::span<const ComputeDevice> devices,
                                   const SoCDescription& soc, const CostModel* measured) {
  const auto cpu_cores = static_cast<std::size_t>(std::ranges::count_if(devices, &ComputeDevice::is_cpu));
  std::vector<Time> costs(devices.size(), impossible);
  const auto reasons = find_costs(call, devices, soc, costs);
  if (reasons.size() == call.devices.size()) {
    return failure("(" + std::string(call.kernel->name()) + "): no device can run it: " + join(reasons, "; "));
  }
  CostRow::Call estimated{.kernel = std::string(call.kernel->name()),
                          .description = describe_call(*call.kernel, call.inputs, call.outputs),
                          .estimates = costs};
  if (measured != nullptr) correct(*measured, estimated, devices, costs);
  return TaskTemplate{.name = call.name,
                      .kernel = call.kernel,
                      .costs = CostRow::make(std::move(costs), cpu_cores, std::move(estimated)),
                      .movement = movement_cost(call.moved_bytes, devices),
                      .reason = join(reasons, "; ")};
}

Result<Plan> make_plan(const Graph& graph, std::span<const ComputeDevice> devices, const SoCDescription& soc,
                       DeviceMemory& memory, const PlanOptions& options) {
  Plan plan;
  plan.blocks = std::make_unique<Blocks>(memory);
  if (auto placed = place_tensors(graph, devices, options, nullptr, plan); !placed) {
    return failure("graph " + graph.name() + " does not fit device memory: " + placed.error().message);
  }
  Planner planner(graph, plan);
  RowTable rows;
  for (const auto& node : graph.nodes()) {
    const CallDescription call = describe(graph, node);
    auto what = make_template(call, devices, soc, options.measured);
    if (!what) return failure("node " + node.name + " " + what.error().message);
    auto shards = options.shard ? make_shards(call, *what, devices, soc, options.measured) : std::vector<Shard>();
    for (Shard& shard : shards) share_row(shard.what, rows);
    share_row(*what, rows);
    if (options.has_values) {
      auto prepared = prepare(node, call, plan, devices, what->costs->all());
      if (prepared) what->kernel = std::move(prepared);
    }
    if (shards.empty()) {
      planner.add(std::move(*what));
    } else {
      planner.add(std::move(shards));
    }
  }
  find_ranks(plan, devices);
  return plan;
}

Result<Plan> make_twin(const Graph& graph, const Plan& first, std::span<const ComputeDevice> devices,
                       DeviceMemory& memory, const PlanOptions& options) {
  Plan twin;
  twin.blocks = std::make_unique<Blocks>(memory);
  if (auto placed = place_tensors(graph, devices, options, &first, twin); !placed) {
    return tl::make_unexpected(placed.error());
  }
  const auto move = [&](std::span<TensorView> views, std::span<const std::size_t> tensors) {
    for (std::size_t i = 0; i < views.size(); ++i) {
      const auto offset = views[i].block.data - first.tensors[tensors[i]].block.data;
      views[i] = view_of(twin.tensors[tensors[i]], static_cast<std::size_t>(offset), *views[i].type);
    }
  };
  twin.tasks = first.tasks;
  for (PlannedTask& task : twin.tasks) {
    move(task.inputs, graph.nodes()[task.node].inputs);
    move(task.outputs, graph.nodes()[task.node].outputs);
  }
  return twin;
}

}  // namespace cosoc
