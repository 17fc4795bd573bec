#include "drivers/zip/driver.hpp"

#include <algorithm>

#include "device/cycles.hpp"
#include "drivers/zip/cycles.hpp"
#include "kernels/zip.hpp"

namespace cosoc::zip {
namespace {

/// Elements of one command; the bytes of a transfer are counted in 32 bits.
constexpr std::uint64_t max_elements = std::uint64_t{1} << 28;

/// Commands for a call of `count` elements, all but the last of `max_elements`, with addresses relative to each tensor.
std::vector<Command> split(ZIPKind kind, std::uint64_t count) {
  std::vector<Command> list;
  for (std::uint64_t first = 0; first < count; first += max_elements) {
    Command command;
    command.opcode = static_cast<std::uint8_t>(kind);
    command.length = static_cast<std::uint32_t>(std::min(max_elements, count - first));
    command.a_address = command.b_address = command.out_address = first * sizeof(Complex);
    list.push_back(command);
  }
  return list;
}

}  // namespace

Result<std::unique_ptr<Driver>> ZIPDriver::open(Device& device, DeviceMemory& memory) {
  std::unique_ptr<ZIPDriver> driver(new ZIPDriver(device, memory));
  if (auto status = driver->Driver::open("ZIP", kind, layout_hash); !status) {
    return tl::unexpected(status.error());
  }
  driver->config_ = Config::from(driver->capabilities<Config::names.size()>());
  return driver;
}

Status ZIPDriver::supports(const Kernel& kernel, std::span<const TensorType> inputs,
                           std::span<const TensorType> outputs) const {
  if (dynamic_cast<const ZIPKernel*>(&kernel) == nullptr) {
    return failure("ZIP runs the operation zip, not " + std::string(kernel.name()));
  }
  return kernel.check(inputs, outputs);
}

std::uint64_t ZIPDriver::estimate_cycles(const Kernel& kernel, std::span<const TensorType> inputs,
                                         std::span<const TensorType>) const {
  const auto count = static_cast<std::uint64_t>(inputs[0].elements());
  return call_cycles(config_, split(static_cast<const ZIPKernel&>(kernel).kind(), count));
}

Result<std::vector<CommandWords>> ZIPDriver::commands(const Kernel& kernel, std::span<const TensorView> inputs,
                                                      std::span<const TensorView> outputs) {
  std::vector<CommandWords> words;
  const auto count = static_cast<std::uint64_t>(inputs[0].type->elements());
  for (Command& command : split(static_cast<const ZIPKernel&>(kernel).kind(), count)) {
    command.a_address += inputs[0].block.physical;
    command.b_address += inputs[1].block.physical;
    command.out_address += outputs[0].block.physical;
    words.push_back(command.encode());
  }
  return words;
}

}  // namespace cosoc::zip
