#include "scheduler/sharding.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace cosoc {
namespace {

/// What a task more costs besides its own time: the dispatcher's work, an interrupt, the driver's call. An estimate for
/// a Cortex-A53.
constexpr Time task_overhead = std::chrono::microseconds(20);
/// A split has to save at least this part of the layer's time.
constexpr double least_gain = 0.1;

/// Accelerators that may run the call, the fastest first.
std::vector<std::size_t> find_accelerators(const TaskTemplate& whole, std::span<const ComputeDevice> devices) {
  std::vector<std::size_t> found;
  const std::vector<Time>& costs = whole.costs->all();
  for (std::size_t i = 0; i < devices.size(); ++i) {
    if (!devices[i].is_cpu() && costs[i] < impossible) found.push_back(i);
  }
  std::ranges::stable_sort(found, {}, [&](std::size_t device) { return costs[device]; });
  return found;
}

/// Divides rows in proportion to speeds, at multiples of `step`; nothing when a part would be empty.
std::vector<Rows> divide(std::int64_t rows, std::int64_t step, std::span<const double> speeds) {
  const double total = std::accumulate(speeds.begin(), speeds.end(), 0.0);
  std::vector<Rows> parts;
  double sum = 0.0;
  std::int64_t begin = 0;
  for (std::size_t i = 0; i < speeds.size(); ++i) {
    sum += speeds[i];
    const double ideal = static_cast<double>(rows) * sum / total / static_cast<double>(step);
    const std::int64_t end = i + 1 == speeds.size() ? rows : std::min<std::int64_t>(rows, std::llround(ideal) * step);
    if (end <= begin) return {};
    parts.push_back({begin, end});
    begin = end;
  }
  return parts;
}

/// The parts as calls; nothing when one of them is not possible.
std::vector<Shard> make_parts(const CallDescription& call, std::span<const Rows> parts,
                              std::span<const ComputeDevice> devices, const SoCDescription& soc,
                              const CostModel* measured) {
  const auto& kernel = dynamic_cast<const Conv2DKernel&>(*call.kernel);
  std::vector<Shard> shards;
  for (const Rows output : parts) {
    const auto part = make_conv2d_rows(kernel, call.inputs, call.outputs[0], output);
    if (!part) return {};
    CallDescription description = call;
    description.name += " rows " + std::to_string(output.begin) + ".." + std::to_string(output.end - 1);
    description.kernel = part->kernel;
    description.inputs[0] = type_of_rows(call.inputs[0], part->input);
    if (call.inputs.size() > 4) description.inputs[4] = type_of_rows(call.inputs[4], part->residual);
    description.outputs[0] = type_of_rows(call.outputs[0], output);
    description.moved_bytes = call.moved_bytes / parts.size();
    if (!description.kernel->check(description.inputs, description.outputs)) return {};
    auto what = make_template(description, devices, soc, measured);
    if (!what) return {};
    shards.push_back({std::move(*what), part->input, part->residual, output});
  }
  return shards;
}

}  // namespace

TensorType type_of_rows(const TensorType& type, Rows rows) {
  TensorType part = type;
  part.shape[1] = rows.count();
  return part;
}

TensorView view_rows(const TensorView& tensor, Rows rows, const TensorType& type) {
  TensorView view = tensor;
  const std::size_t offset = static_cast<std::size_t>(rows.begin * tensor.type->shape[2]) * tensor.type->pixel_pitch();
  view.type = &type;
  view.block.data += offset;
  view.block.physical += offset;
  view.block.size = type.bytes();
  return view;
}

std::vector<Shard> make_shards(const CallDescription& call, const TaskTemplate& whole,
                               std::span<const ComputeDevice> devices, const SoCDescription& soc,
                               const CostModel* measured) {
  if (dynamic_cast<const Conv2DKernel*>(call.kernel.get()) == nullptr || call.inputs[0].shape[0] != 1) return {};
  const std::vector<std::size_t> accelerators = find_accelerators(whole, devices);
  if (accelerators.size() < 2) return {};
  const std::vector<Time>& costs = whole.costs->all();
  // Parts begin at cache lines of their own: two devices that are not coherent must not write into the same line.
  const TensorType& output = call.outputs[0];
  const std::size_t row_bytes = static_cast<std::size_t>(output.shape[2]) * output.pixel_pitch();
  const auto step = static_cast<std::int64_t>(DeviceMemory::alignment / std::gcd(DeviceMemory::alignment, row_bytes));
  std::vector<Shard> best;
  Time least = *std::ranges::min_element(costs);
  std::vector<double> speeds = {1.0 / static_cast<double>(costs[accelerators[0]].count())};
  for (std::size_t count = 2; count <= accelerators.size(); ++count) {
    speeds.push_back(1.0 / static_cast<double>(costs[accelerators[count - 1]].count()));
    // The ideal is worked out with what is certain, before parts are compiled.
    const double ideal = 1.0 / std::accumulate(speeds.begin(), speeds.end(), 0.0);
    const double limit = static_cast<double>(least.count()) * (1.0 - least_gain);
    if (ideal + static_cast<double>(task_overhead.count()) > limit) continue;
    std::vector<Shard> shards = make_parts(call, divide(output.shape[1], step, speeds), devices, soc, measured);
    if (shards.empty()) continue;
    Time end{};
    for (std::size_t i = 0; i < count; ++i) end = std::max(end, shards[i].what.costs->all()[accelerators[i]]);
    if (static_cast<double>((end + task_overhead).count()) > limit) continue;
    least = end + task_overhead;
    best = std::move(shards);
  }
  return best;
}

}  // namespace cosoc
