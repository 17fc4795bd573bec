#include "scheduler/sharding.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "kernels/conv2d_rows.hpp"

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

/// From the first one up to the last one, which is not in it, of rows or channels.
using Range = Rows;

/// Divides `extent` in proportion to speeds, at multiples of `step`; nothing when a part would be empty.
std::vector<Range> divide(std::int64_t extent, std::int64_t step, std::span<const double> speeds) {
  const double total = std::accumulate(speeds.begin(), speeds.end(), 0.0);
  std::vector<Range> parts;
  double sum = 0.0;
  std::int64_t begin = 0;
  for (std::size_t i = 0; i < speeds.size(); ++i) {
    sum += speeds[i];
    const double ideal = static_cast<double>(extent) * sum / total / static_cast<double>(step);
    const bool last = i + 1 == speeds.size();
    const std::int64_t end = last ? extent : std::min<std::int64_t>(extent, std::llround(ideal) * step);
    if (end <= begin) return {};
    parts.push_back({begin, end});
    begin = end;
  }
  return parts;
}

Slice rows_of(const TensorType& type, Rows rows) {
  Slice slice{type, static_cast<std::size_t>(rows.begin * type.shape[2]) * type.pixel_pitch()};
  slice.type.shape[1] = rows.count();
  return slice;
}

/// Of the axis that has the output's channels, where all others before it are 1.
Slice channels_of(const TensorType& type, std::size_t axis, Range channels) {
  // Pixels are padded behind their last channel.
  const bool last = axis + 1 == type.shape.size();
  const std::size_t bytes = last ? size_of(type.dtype) : type.bytes() / static_cast<std::size_t>(type.shape[axis]);
  Slice slice{type, static_cast<std::size_t>(channels.begin) * bytes};
  slice.type.shape[axis] = channels.count();
  return slice;
}

/// A part by rows, as a kernel and its operands; nothing when it is not possible.
std::shared_ptr<const Kernel> slice_rows(const CallDescription& call, Rows rows, Shard& shard) {
  const auto part =
      make_conv2d_rows(dynamic_cast<const Conv2DKernel&>(*call.kernel), call.inputs, call.outputs[0], rows);
  if (!part) return nullptr;
  for (const TensorType& type : call.inputs) shard.inputs.push_back({type});
  shard.inputs[0] = rows_of(call.inputs[0], part->input);
  if (call.inputs.size() > 4) shard.inputs[4] = rows_of(call.inputs[4], part->residual);
  shard.output = rows_of(call.outputs[0], rows);
  return part->kernel;
}

/// The same by channels of an output of one pixel: weights, biases and multipliers lie channel by channel.
std::shared_ptr<const Kernel> slice_channels(const CallDescription& call, Range channels, Shard& shard) {
  shard.inputs.push_back({call.inputs[0]});
  for (std::size_t i = 1; i < 4; ++i) shard.inputs.push_back(channels_of(call.inputs[i], 0, channels));
  if (call.inputs.size() > 4) shard.inputs.push_back(channels_of(call.inputs[4], 3, channels));
  shard.output = channels_of(call.outputs[0], 3, channels);
  return call.kernel;
}

/// How a layer can be divided: how many rows or channels there are, at multiples of what, and how a part is made.
struct Division {
  std::string_view name;
  std::int64_t extent = 0;
  std::int64_t step = 1;
  std::shared_ptr<const Kernel> (*slice)(const CallDescription&, Range, Shard&) = nullptr;
};

/// Parts begin at cache lines of their own: two devices that are not coherent must not write into the same line.
Division division_of(const CallDescription& call) {
  const TensorType& output = call.outputs[0];
  const auto lines_at = [](std::size_t bytes) {
    return static_cast<std::int64_t>(DeviceMemory::alignment / std::gcd(DeviceMemory::alignment, bytes));
  };
  if (output.shape[1] > 1) {
    return {"rows", output.shape[1], lines_at(static_cast<std::size_t>(output.shape[2]) * output.pixel_pitch()),
            slice_rows};
  }
  const bool is_pixel = output.shape[2] == 1;
  const bool is_whole = call.inputs[1].shape[3] == call.inputs[0].shape[3];  // one group
  const bool has_pixel = call.inputs.size() < 5 || call.inputs[4].shape == output.shape;
  if (!is_pixel || !is_whole || !has_pixel) return {};
  return {"channels", output.shape[3], lines_at(size_of(output.dtype)), slice_channels};
}

/// The parts as calls; nothing when one of them is not possible.
std::vector<Shard> make_parts(const CallDescription& call, const Division& division, std::span<const Range> parts,
                              std::span<const ComputeDevice> devices, const SoCDescription& soc,
                              const CostModel* measured) {
  std::vector<Shard> shards;
  for (const Range range : parts) {
    Shard& shard = shards.emplace_back();
    CallDescription description = call;
    description.kernel = division.slice(call, range, shard);
    if (!description.kernel) return {};
    description.name +=
        " " + std::string(division.name) + " " + std::to_string(range.begin) + ".." + std::to_string(range.end - 1);
    for (std::size_t i = 0; i < call.inputs.size(); ++i) description.inputs[i] = shard.inputs[i].type;
    description.outputs[0] = shard.output.type;
    description.moved_bytes = call.moved_bytes / parts.size();
    if (!description.kernel->check(description.inputs, description.outputs)) return {};
    auto what = make_template(description, devices, soc, measured);
    if (!what) return {};
    shard.what = std::move(*what);
  }
  return shards;
}

}  // namespace

TensorView view_of(const TensorView& tensor, std::size_t offset, const TensorType& type) {
  TensorView view = tensor;
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
  const Division division = division_of(call);
  if (division.slice == nullptr) return {};
  std::vector<Shard> best;
  Time least = *std::ranges::min_element(costs);
  std::vector<double> speeds = {1.0 / static_cast<double>(costs[accelerators[0]].count())};
  for (std::size_t count = 2; count <= accelerators.size(); ++count) {
    speeds.push_back(1.0 / static_cast<double>(costs[accelerators[count - 1]].count()));
    // The ideal is worked out with what is certain, before parts are compiled.
    const double ideal = 1.0 / std::accumulate(speeds.begin(), speeds.end(), 0.0);
    const double limit = static_cast<double>(least.count()) * (1.0 - least_gain);
    if (ideal + static_cast<double>(task_overhead.count()) > limit) continue;
    const std::vector<Range> parts = divide(division.extent, division.step, speeds);
    std::vector<Shard> shards = make_parts(call, division, parts, devices, soc, measured);
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
