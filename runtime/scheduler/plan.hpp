/// A graph in device memory with its tasks: what the executors run, again and
/// again.
#pragma once

#include <cstddef>
#include <deque>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "cosoc/graph.hpp"
#include "cost/cost.hpp"
#include "scheduler/compute_device.hpp"
#include "scheduler/task.hpp"

namespace cosoc {

/// Blocks of device memory, given back at the end.
class Blocks {
 public:
  explicit Blocks(DeviceMemory& memory) : memory_(memory) {}
  ~Blocks();
  Blocks(const Blocks&) = delete;
  Blocks& operator=(const Blocks&) = delete;

  Result<Block> allocate(std::size_t size);

 private:
  DeviceMemory& memory_;
  std::vector<Block> blocks_;
};

/// One node as a task, or a part of one.
struct PlannedTask {
  TaskTemplate what;
  std::size_t node = 0;  // of the graph
  std::string node_name;
  std::vector<TensorView> inputs;
  std::vector<TensorView> outputs;
  std::vector<std::size_t> successors;
  std::uint32_t dependencies = 0;  // tasks of which it is a successor
  Time rank{};                     // see ReadyTask
};

/// A task per node of the graph, in its order, or several where that pays (see sharding.hpp). The graph must live as
/// long.
struct Plan {
  std::vector<PlannedTask> tasks;
  std::vector<TensorView> tensors;  // by index of the graph
  std::deque<TensorType> parts;     // types of parts of them
  std::unique_ptr<Blocks> blocks;
};

/// What to call, of which types, and where: what a `TaskTemplate` is made from.
struct CallDescription {
  std::string name;  // of the task
  std::shared_ptr<const Kernel> kernel;
  std::vector<TensorType> inputs;
  std::vector<TensorType> outputs;
  std::vector<std::string> devices;  // kinds
  std::size_t moved_bytes = 0;       // of inputs that are no constants
  bool is_outside = false;           // operands have to be copied to and from device memory
};

/// Kinds of devices, in their order.
std::vector<std::string> kinds_of(std::span<const ComputeDevice> devices);

/// Finds which devices may run a call and how long it would take there, by estimate or by what `measured` (which may be
/// null) knows. Fails when none can; the message says why.
Result<TaskTemplate> make_template(const CallDescription& call, std::span<const ComputeDevice> devices,
                                   const SoCDescription& soc, const CostModel* measured = nullptr);

struct PlanOptions {
  bool keep_tensors = false;  // memory of its own for every tensor
  bool has_values = true;     // false: constants are not copied, nothing will compute
  const CostModel* measured = nullptr;
  bool shard = true;  // large layers may become several tasks
};

/// Gives every tensor of a plan memory. Constants are copied there, or those of `first` are used where it is given.
Status place_tensors(const Graph& graph, std::span<const ComputeDevice> devices, const PlanOptions& options,
                     const Plan* first, Plan& plan);

/// Allocates memory, copies constants, and finds which devices may run each
/// node: those whose kind the node lists, CPU cores always, accelerators when
/// their driver supports the call. Fails when memory is short, or when a node
/// is left without a device; the message names it.
Result<Plan> make_plan(const Graph& graph, std::span<const ComputeDevice> devices, const SoCDescription& soc,
                       DeviceMemory& memory, const PlanOptions& options);

/// The same tasks on memory of their own, for a run beside one of `first`, whose constants and types they use: it has
/// to live longer. Fails when memory is short.
Result<Plan> make_twin(const Graph& graph, const Plan& first, std::span<const ComputeDevice> devices,
                       DeviceMemory& memory, const PlanOptions& options);

/// Copies dense host bytes into a tensor's storage; the padding of feature maps
/// becomes zero.
void store(const TensorView& tensor, std::span<const std::byte> host);
/// Copies a tensor's storage to dense host bytes.
void fetch(const TensorView& tensor, std::span<std::byte> host);

}  // namespace cosoc
