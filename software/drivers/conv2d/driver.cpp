#include "drivers/conv2d/driver.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <string>

namespace cosoc::conv2d {
namespace {

constexpr std::uint64_t alignment = 64;  // of instructions and temporaries, bytes

std::uint64_t aligned(std::uint64_t bytes) { return (bytes + alignment - 1) & ~(alignment - 1); }

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
  for (const Loaded& loaded : loaded_) loaded.memory->release(loaded.block);
}

void Conv2DDriver::release_kept(const DeviceMemory& kept) {
  loaded_.remove_if([&](const Loaded& loaded) {
    if (loaded.memory != &kept) return false;
    loaded.memory->release(loaded.block);
    return true;
  });
}

Result<Conv2DDriver::Compiled> Conv2DDriver::compile(const Operations& operations) const {
  auto calls = calls_of(operations);
  if (!calls) return tl::unexpected(calls.error());
  auto program = Compiler(config_).compile(calls->calls, {static_cast<std::uint32_t>(CallBase::constants), 0});
  if (!program) return tl::unexpected(program.error());
  const std::uint64_t temporary_bytes = stores_temporaries(*program) ? calls->temporary_bytes : 0;
  return Compiled{std::move(*program), std::move(calls->tensors), temporary_bytes};
}

std::shared_ptr<const Result<Conv2DDriver::Compiled>> Conv2DDriver::compiled(const Operations& operations) const {
  std::unique_lock lock(met_mutex_);
  const auto found =
      std::find_if(met_.begin(), met_.end(), [&](const Met& met) { return met.operations == operations; });
  if (found != met_.end()) return found->compiled;
  lock.unlock();
  auto made = std::make_shared<const Result<Compiled>>(compile(operations));
  lock.lock();
  ++compilations_;
  if (met_.size() == max_met) met_.pop_front();
  return met_.emplace_back(Met{operations, std::move(made)}).compiled;
}

std::uint64_t Conv2DDriver::compilations() const {
  const std::lock_guard lock(met_mutex_);
  return compilations_;
}

Status Conv2DDriver::supports(const Kernel& kernel, std::span<const TensorType> inputs,
                              std::span<const TensorType> outputs) const {
  if (auto status = kernel.check(inputs, outputs); !status) return status;
  const auto operations = operations_of(kernel, inputs, outputs);
  if (!operations) return tl::unexpected(operations.error());
  if (inputs[0].dtype != activation()) {
    const std::string needed = inputs[0].dtype == DType::int16 ? "16" : "8";
    return failure("this Conv2D computes with " + std::string(name_of(activation())) + " activations, not " +
                   inputs[0].describe() + "; one built with c2d_activation_bits=" + needed + " does");
  }
  if (const auto found = compiled(*operations); !*found) return tl::unexpected(found->error());
  return {};
}

std::uint64_t Conv2DDriver::estimate_cycles(const Kernel& kernel, std::span<const TensorType> inputs,
                                            std::span<const TensorType> outputs) const {
  const auto operations = operations_of(kernel, inputs, outputs);
  return static_cast<std::uint64_t>(std::ceil((*compiled(*operations))->program.cycles));
}

Result<std::vector<CommandWords>> Conv2DDriver::commands(const Kernel& kernel, std::span<const TensorView> inputs,
                                                         std::span<const TensorView> outputs) {
  std::vector<TensorType> input_types;
  for (const TensorView& view : inputs) input_types.push_back(*view.type);
  const auto operations = operations_of(kernel, input_types, std::span(outputs[0].type, 1));
  if (!operations) return tl::unexpected(operations.error());
  const auto program = compiled(*operations);
  const Result<Compiled>& found = *program;
  if (!found) return tl::unexpected(found.error());
  const auto loaded = load(*operations, *found, inputs);
  if (!loaded) return tl::unexpected(loaded.error());
  const std::uint64_t begin = (*loaded)->block.physical;
  Command command =
      command_for(found->program, begin + (*loaded)->instruction_offset, begin, begin + (*loaded)->temporary_offset);
  for (std::size_t i = 0; i < found->tensors.size(); ++i) {
    const auto& [kind, index] = found->tensors[i];
    const Block& block = kind == Operand::Kind::input ? inputs[index].block : outputs[index].block;
    set_base(command, static_cast<std::size_t>(CallBase::tensors) + i, block.physical);
  }
  return std::vector<CommandWords>{command.encode()};
}

Result<const Conv2DDriver::Loaded*> Conv2DDriver::load(const Operations& operations, const Compiled& compiled,
                                                       std::span<const TensorView> inputs) {
  std::vector<Block> sources;
  bool constant = true;
  for (const Operation& operation : operations.layers) {
    if (operation.source != Operation::Source::inputs) continue;
    for (const std::size_t index : operation.constants) {
      sources.push_back(inputs[index].block);
      constant = constant && inputs[index].constant;
    }
  }
  auto found = std::find_if(loaded_.begin(), loaded_.end(), [&](const Loaded& loaded) {
    return loaded.memory == &kept() && loaded.operations == operations && same_allocations(loaded.sources, sources);
  });
  if (found != loaded_.end() && constant) return &*found;
  const Program& program = compiled.program;
  if (found == loaded_.end()) {
    release_unused();
    const std::uint64_t instructions = aligned(program.constant_bytes);
    const std::uint64_t temporaries = aligned(instructions + program.instructions.size() * sizeof(std::uint32_t));
    auto block = allocate(temporaries + compiled.temporary_bytes);
    if (!block) return tl::unexpected(block.error());
    found = loaded_.insert(loaded_.end(),
                           Loaded{&kept(), operations, std::move(sources), *block, instructions, temporaries});
  }
  if (auto status = fill(*found, program, inputs); !status) {
    found->memory->release(found->block);
    loaded_.erase(found);
    return tl::unexpected(status.error());
  }
  memory_.sync_for_device(found->block);
  return &*found;
}

Status Conv2DDriver::fill(const Loaded& loaded, const Program& program, std::span<const TensorView> inputs) const {
  const std::span packed(loaded.block.data, program.constant_bytes);
  for (std::size_t i = 0; i < loaded.operations.layers.size(); ++i) {
    auto status = fill_constants(loaded.operations.layers[i], program.constants[i], inputs, packed);
    if (!status) return status;
  }
  std::memcpy(loaded.block.data + loaded.instruction_offset, program.instructions.data(),
              program.instructions.size() * sizeof(std::uint32_t));
  return {};
}

Status Conv2DDriver::fill_constants(const Operation& operation, const PackedConstants& call,
                                    std::span<const TensorView> inputs, std::span<std::byte> packed) const {
  const auto channels = static_cast<std::size_t>(operation.layer.out_channels);
  std::vector<std::int32_t> bias;
  std::vector<float> multiplier;
  Constants constants;
  if (operation.source == Operation::Source::inputs) {
    const auto& [weights, biases, multipliers] = operation.constants;
    constants.weight = {inputs[weights].as<std::int8_t>(), inputs[weights].type->bytes()};
    constants.bias = {inputs[biases].as<std::int32_t>(), channels};
    constants.multiplier = {inputs[multipliers].as<float>(), channels};
  } else {
    bias.assign(channels, operation.bias);
    multiplier.assign(channels, operation.multiplier);
    constants.bias = bias;
    constants.multiplier = multiplier;
  }
  return Compiler(config_).pack_constants(call, constants, packed);
}

Result<Block> Conv2DDriver::allocate(std::size_t bytes) {
  for (;;) {
    auto block = kept().allocate(bytes);
    if (block || &kept() == &memory_) return block;
    const auto oldest =
        std::find_if(loaded_.begin(), loaded_.end(), [&](const Loaded& loaded) { return loaded.memory == &kept(); });
    if (oldest == loaded_.end()) return block;
    oldest->memory->release(oldest->block);
    loaded_.erase(oldest);
  }
}

void Conv2DDriver::release_unused() {
  const auto unused = [&](const Loaded& loaded) {
    // Of what applications of other processes hold nothing is known here; `forget` tells their end.
    if (loaded.memory != &memory_) return false;
    const bool alive = std::all_of(loaded.sources.begin(), loaded.sources.end(),
                                   [&](const Block& block) { return memory_.holds(block); });
    if (!alive) memory_.release(loaded.block);
    return !alive;
  };
  loaded_.remove_if(unused);
}

}  // namespace cosoc::conv2d
