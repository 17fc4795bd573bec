#include "drivers/fir/driver.hpp"

#include <algorithm>

#include "device/cycles.hpp"
#include "drivers/fir/cycles.hpp"
#include "kernels/fir.hpp"

namespace cosoc::fir {
namespace {

/// Samples of one command; the bytes of a transfer are counted in 32 bits.
constexpr std::int64_t max_samples = (std::int64_t{1} << 29) - 1;

}  // namespace

Result<std::unique_ptr<Driver>> FIRDriver::open(Device& device, DeviceMemory& memory) {
  std::unique_ptr<FIRDriver> driver(new FIRDriver(device, memory));
  if (auto status = driver->Driver::open("FIR", kind, layout_hash); !status) {
    return tl::unexpected(status.error());
  }
  driver->config_ = Config::from(driver->capabilities<Config::names.size()>());
  return driver;
}

Status FIRDriver::supports(const Kernel& kernel, std::span<const TensorType> inputs,
                           std::span<const TensorType> outputs) const {
  if (dynamic_cast<const FIRKernel*>(&kernel) == nullptr) {
    return failure("FIR runs the operation fir, not " + std::string(kernel.name()));
  }
  if (auto status = kernel.check(inputs, outputs); !status) return status;
  if (inputs[1].elements() > config_.max_taps) {
    return failure("this FIR has filters of up to " + std::to_string(config_.max_taps) + " taps, not " +
                   std::to_string(inputs[1].elements()));
  }
  if (inputs[0].elements() > max_samples) {
    return failure("FIR filters up to " + std::to_string(max_samples) + " samples, not " +
                   std::to_string(inputs[0].elements()));
  }
  return {};
}

std::vector<Command> FIRDriver::split(const Kernel& kernel, const TensorType& samples, const TensorType& taps,
                                      const TensorType& results) const {
  std::vector<Command> list;
  const auto count = static_cast<std::uint32_t>(taps.elements());
  for (std::uint32_t first = 0; first < count; first += config_.multipliers) {
    Command command;
    command.opcode = static_cast<std::uint8_t>(first == 0 ? FIROperation::filter : FIROperation::accumulate);
    command.taps = static_cast<std::uint16_t>(std::min(config_.multipliers, count - first));
    command.delay = static_cast<std::uint16_t>(first);
    command.length = static_cast<std::uint32_t>(samples.shape.back());
    command.samples = static_cast<std::uint32_t>(samples.elements());
    command.outputs = static_cast<std::uint32_t>(results.elements());
    command.decimation = static_cast<std::uint16_t>(static_cast<const FIRKernel&>(kernel).decimation());
    command.taps_address = first * sizeof(Complex);
    list.push_back(command);
  }
  return list;
}

std::uint64_t FIRDriver::estimate_cycles(const Kernel& kernel, std::span<const TensorType> inputs,
                                         std::span<const TensorType> outputs) const {
  return call_cycles(config_, split(kernel, inputs[0], inputs[1], outputs[0]));
}

Result<std::vector<CommandWords>> FIRDriver::commands(const Kernel& kernel, std::span<const TensorView> inputs,
                                                      std::span<const TensorView> outputs) {
  std::vector<CommandWords> words;
  for (Command& command : split(kernel, *inputs[0].type, *inputs[1].type, *outputs[0].type)) {
    command.in_address += inputs[0].block.physical;
    command.taps_address += inputs[1].block.physical;
    command.out_address += outputs[0].block.physical;
    words.push_back(command.encode());
  }
  return words;
}

}  // namespace cosoc::fir
