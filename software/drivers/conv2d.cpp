#include "drivers/conv2d.hpp"

#include <algorithm>

#include "device/cycles.hpp"
#include "drivers/conv2d_packing.hpp"

namespace cosoc {
namespace {

// Limits of the command's fields.
constexpr std::int64_t max_kernel = 15;
constexpr std::int64_t max_stride = 7;
constexpr std::int64_t max_pitch = UINT32_MAX;

std::string pair_text(std::int64_t rows, std::int64_t columns) {
  return std::to_string(rows) + "x" + std::to_string(columns);
}

/// Whether commands can express this window; the type of the weight was checked.
Status check_window(const Window& window, const conv2d::Config& config) {
  const std::string kernel = pair_text(window.kernel[0], window.kernel[1]);
  if (window.dilation != std::array<std::int64_t, 2>{1, 1}) {
    return failure("Conv2D has no dilation, the call has " + pair_text(window.dilation[0], window.dilation[1]));
  }
  const std::int64_t steps = window.kernel[0] * window.kernel[1];
  if (std::max(window.kernel[0], window.kernel[1]) > max_kernel ||
      steps > std::min(config.weight_steps, config.activation_words)) {
    return failure("this Conv2D has kernels up to " + pair_text(max_kernel, max_kernel) + " and " +
                   std::to_string(std::min(config.weight_steps, config.activation_words)) +
                   " positions, the call has " + kernel);
  }
  if (std::max(window.stride[0], window.stride[1]) > max_stride) {
    return failure("Conv2D has strides up to " + std::to_string(max_stride) + ", the call has " +
                   pair_text(window.stride[0], window.stride[1]));
  }
  for (std::size_t side = 0; side < 4; ++side) {
    if (window.padding[side] >= window.kernel[side % 2]) {
      return failure("Conv2D needs padding smaller than the kernel, the call has " +
                     std::to_string(window.padding[side]) + " with kernel " + kernel);
    }
  }
  return {};
}

}  // namespace

Result<std::unique_ptr<Driver>> Conv2DDriver::open(Device& device, DeviceMemory& memory) {
  std::unique_ptr<Conv2DDriver> driver(new Conv2DDriver(device, memory));
  if (auto status = driver->Driver::open("Conv2D", conv2d::kind, conv2d::layout_hash); !status) {
    return tl::unexpected(status.error());
  }
  driver->config_ = conv2d::Config::from(driver->capabilities<conv2d::Config::names.size()>());
  return driver;
}

Conv2DDriver::~Conv2DDriver() {
  // Memory that the accelerator might still read is harmless to give back: it never writes to packed constants.
  release_packed(true);
}

Status Conv2DDriver::supports(const Kernel& kernel, std::span<const TensorType> inputs,
                              std::span<const TensorType> outputs) const {
  const auto* convolution = dynamic_cast<const Conv2DKernel*>(&kernel);
  if (convolution == nullptr) return failure("Conv2D runs the operation conv2d, not " + std::string(kernel.name()));
  if (auto status = kernel.check(inputs, outputs); !status) return status;
  const Conv2DAttributes attributes = convolution->attributes_for(inputs[1]);
  if (attributes.residual_multiplier || attributes.pool) return failure("Conv2D adds no residual and has no pooling");
  if (attributes.groups != 1) {
    return failure("Conv2D has no groups, the call has " + std::to_string(attributes.groups));
  }
  if (auto status = check_window(attributes.window, config_); !status) return status;
  const Conv2DGeometry geometry = make_geometry(attributes, inputs, outputs[0], config_);
  if (std::max(geometry.in_row_pitch, geometry.out_row_pitch) > max_pitch) {
    return failure("Conv2D has rows of less than 4 GiB, the call has " + inputs[0].describe());
  }
  return {};
}

std::uint64_t Conv2DDriver::estimate_cycles(const Kernel& kernel, std::span<const TensorType> inputs,
                                            std::span<const TensorType> outputs) const {
  const auto attributes = static_cast<const Conv2DKernel&>(kernel).attributes_for(inputs[1]);
  const Conv2DGeometry geometry = make_geometry(attributes, inputs, outputs[0], config_);
  return call_cycles(config_, tile_commands(geometry, choose_tiling(geometry, config_), config_));
}

Result<std::vector<CommandWords>> Conv2DDriver::commands(const Kernel& kernel, std::span<const TensorView> inputs,
                                                         std::span<const TensorView> outputs) {
  std::vector<TensorType> types;
  for (const TensorView& view : inputs) types.push_back(*view.type);
  const auto attributes = static_cast<const Conv2DKernel&>(kernel).attributes_for(types[1]);
  const Conv2DGeometry geometry = make_geometry(attributes, types, *outputs[0].type, config_);
  const Conv2DTiling tiling = choose_tiling(geometry, config_);
  auto packed = packed_constants(inputs, static_cast<std::size_t>(tiling.words));
  if (!packed) return tl::unexpected(packed.error());

  const std::uint64_t channels = packed->physical + packed_layout(types[1], config_).channel_offset;
  std::vector<CommandWords> words;
  for (conv2d::Command& command : tile_commands(geometry, tiling, config_)) {
    command.in_address += inputs[0].block.physical;
    command.weight_address += packed->physical;
    command.channel_address += channels;
    command.out_address += outputs[0].block.physical;
    words.push_back(command.encode());
  }
  return words;
}

Result<Block> Conv2DDriver::packed_constants(std::span<const TensorView> inputs, std::size_t part_words) {
  const TensorView& weight = inputs[1];
  const TensorView& bias = inputs[2];
  const TensorView& multiplier = inputs[3];
  const PackedKey key = {weight.block.id,     weight.block.physical,     bias.block.id, bias.block.physical,
                         multiplier.block.id, multiplier.block.physical, part_words};
  const bool constant = weight.constant && bias.constant && multiplier.constant;
  auto found = packed_.find(key);
  if (found != packed_.end() && constant) return found->second.block;

  if (found == packed_.end()) {
    release_packed(false);
    auto block = memory_.allocate(packed_layout(*weight.type, config_).bytes);
    if (!block) return tl::unexpected(block.error());
    found = packed_.emplace(key, Packed{{weight.block, bias.block, multiplier.block}, *block}).first;
  }
  const Block& block = found->second.block;
  pack_constants(weight, bias, multiplier, part_words, config_, std::span(block.data, block.size));
  memory_.sync_for_device(block);
  return block;
}

void Conv2DDriver::release_packed(bool all) {
  for (auto entry = packed_.begin(); entry != packed_.end();) {
    const auto& sources = entry->second.sources;
    const bool alive = std::all_of(sources.begin(), sources.end(), [&](const Block& b) { return memory_.holds(b); });
    if (alive && !all) {
      ++entry;
      continue;
    }
    memory_.release(entry->second.block);
    entry = packed_.erase(entry);
  }
}

}  // namespace cosoc
