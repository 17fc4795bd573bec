#include "drivers/conv2d/driver.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <string>

namespace cosoc::conv2d {
namespace {

constexpr std::uint64_t instruction_alignment = 64;

bool same_allocations(std::span<const Block> a, std::span<const Block> b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](const Block& x, const Block& y) { return x.id == y.id && x.physical == y.physical; });
}

}  // namespace

Result<std::unique_ptr<Driver>> Conv2DDriver::open(Device& device, DeviceMemory& memory) {
  std::unique_ptr<Conv2DDriver> driver(new Conv2DDriver(device, memory));
  if (auto status = driver->Driver::open("Conv2D", kind, layout_hash); !status) {
    return tl::unexpected(status.error());
  }
  driver->config_ = Config::from(driver->capabilities<Config::names.size()>());
  return driver;
}

Conv2DDriver::~Conv2DDriver() {
  // Memory that the accelerator might still read is harmless to give back: it never writes to programs or constants.
  for (const Loaded& loaded : loaded_) memory_.release(loaded.block);
}

const Result<Program>& Conv2DDriver::program(const Layer& layer) const {
  const auto found = std::find_if(compiled_.begin(), compiled_.end(),
                                  [&](const Compiled& compiled) { return compiled.layer == layer; });
  if (found != compiled_.end()) return found->program;
  return compiled_.emplace_back(Compiled{layer, Compiler(config_).compile(layer)}).program;
}

Status Conv2DDriver::supports(const Kernel& kernel, std::span<const TensorType> inputs,
                              std::span<const TensorType> outputs) const {
  if (auto status = kernel.check(inputs, outputs); !status) return status;
  const auto operation = operation_of(kernel, inputs, outputs);
  if (!operation) return tl::unexpected(operation.error());
  if (inputs[0].dtype != activation()) {
    const std::string needed = inputs[0].dtype == DType::int16 ? "16" : "8";
    return failure("this Conv2D computes with " + std::string(name_of(activation())) + " activations, not " +
                   inputs[0].describe() + "; one built with c2d_activation_bits=" + needed + " does");
  }
  if (const auto& compiled = program(operation->layer); !compiled) return tl::unexpected(compiled.error());
  return {};
}

std::uint64_t Conv2DDriver::estimate_cycles(const Kernel& kernel, std::span<const TensorType> inputs,
                                            std::span<const TensorType> outputs) const {
  const auto operation = operation_of(kernel, inputs, outputs);
  return static_cast<std::uint64_t>(std::ceil(program(operation->layer)->cycles));
}

Result<std::vector<CommandWords>> Conv2DDriver::commands(const Kernel& kernel, std::span<const TensorView> inputs,
                                                         std::span<const TensorView> outputs) {
  std::vector<TensorType> input_types;
  for (const TensorView& view : inputs) input_types.push_back(*view.type);
  const auto operation = operation_of(kernel, input_types, std::span(outputs[0].type, 1));
  if (!operation) return tl::unexpected(operation.error());
  const auto& compiled = program(operation->layer);
  if (!compiled) return tl::unexpected(compiled.error());
  const auto loaded = load(*operation, *compiled, inputs);
  if (!loaded) return tl::unexpected(loaded.error());
  Command command;
  command.instruction_address = (*loaded)->block.physical + (*loaded)->instruction_offset;
  command.instruction_count = compiled->instruction_count();
  command.base0 = inputs[0].block.physical;
  command.base1 = outputs[0].block.physical;
  command.base2 = (*loaded)->block.physical;
  if (operation->residual_input != 0) command.base3 = inputs[operation->residual_input].block.physical;
  return std::vector<CommandWords>{command.encode()};
}

Result<const Conv2DDriver::Loaded*> Conv2DDriver::load(const Operation& operation, const Program& program,
                                                       std::span<const TensorView> inputs) {
  std::vector<Block> sources;
  bool constant = true;
  if (operation.source == Operation::Source::inputs) {
    for (const TensorView& view : inputs.subspan(1, 3)) {
      sources.push_back(view.block);
      constant = constant && view.constant;
    }
  }
  auto found = std::find_if(loaded_.begin(), loaded_.end(), [&](const Loaded& loaded) {
    return loaded.operation == operation && same_allocations(loaded.sources, sources);
  });
  if (found != loaded_.end() && constant) return &*found;
  if (found == loaded_.end()) {
    release_unused();
    const std::uint64_t offset = (program.constant_bytes + instruction_alignment - 1) & ~(instruction_alignment - 1);
    auto block = memory_.allocate(offset + program.instructions.size() * sizeof(std::uint32_t));
    if (!block) return tl::unexpected(block.error());
    found = loaded_.insert(loaded_.end(), Loaded{operation, std::move(sources), *block, offset});
  }
  if (auto status = fill(*found, program, inputs); !status) {
    memory_.release(found->block);
    loaded_.erase(found);
    return tl::unexpected(status.error());
  }
  memory_.sync_for_device(found->block);
  return &*found;
}

Status Conv2DDriver::fill(const Loaded& loaded, const Program& program, std::span<const TensorView> inputs) const {
  const auto channels = static_cast<std::size_t>(loaded.operation.layer.out_channels);
  std::vector<std::int32_t> bias;
  std::vector<float> multiplier;
  Constants constants;
  if (loaded.operation.source == Operation::Source::inputs) {
    constants.weight = {inputs[1].as<std::int8_t>(), inputs[1].type->bytes()};
    constants.bias = {inputs[2].as<std::int32_t>(), channels};
    constants.multiplier = {inputs[3].as<float>(), channels};
  } else {
    bias.assign(channels, loaded.operation.bias);
    multiplier.assign(channels, loaded.operation.multiplier);
    constants.bias = bias;
    constants.multiplier = multiplier;
  }
  const std::span packed(loaded.block.data, program.constant_bytes);
  if (auto status = Compiler(config_).pack_constants(program.constants[0], constants, packed); !status) return status;
  std::memcpy(loaded.block.data + loaded.instruction_offset, program.instructions.data(),
              program.instructions.size() * sizeof(std::uint32_t));
  return {};
}

void Conv2DDriver::release_unused() {
  const auto unused = [&](const Loaded& loaded) {
    const bool alive = std::all_of(loaded.sources.begin(), loaded.sources.end(),
                                   [&](const Block& block) { return memory_.holds(block); });
    if (!alive) memory_.release(loaded.block);
    return !alive;
  };
  loaded_.remove_if(unused);
}

}  // namespace cosoc::conv2d
