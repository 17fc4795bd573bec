#include "drivers/fft/driver.hpp"

#include <algorithm>
#include <bit>

#include "device/cycles.hpp"
#include "drivers/fft/cycles.hpp"
#include "kernels/arithmetic.hpp"
#include "kernels/fft.hpp"

namespace cosoc::fft {
namespace {

constexpr std::int64_t min_length = 8;
/// Elements of one command; the bytes of a transfer are counted in 32 bits.
constexpr std::uint64_t max_elements = std::uint64_t{1} << 28;

/// Commands for a call on tensors of this type, with addresses relative to each tensor.
std::vector<Command> split(const FFTKernel& kernel, const TensorType& type) {
  const auto length = static_cast<std::uint64_t>(type.shape.back());
  const auto count = static_cast<std::uint64_t>(type.elements());
  std::vector<Command> list;
  for (std::uint64_t first = 0; first < count; first += max_elements) {
    Command command;
    command.opcode = static_cast<std::uint8_t>(kernel.inverse() ? FFTOperation::inverse : FFTOperation::forward);
    command.log2_length = static_cast<std::uint8_t>(std::bit_width(length) - 1);
    command.scaled = kernel.inverse() ? 1 : 0;
    command.in_frame_stride = command.out_frame_stride = static_cast<std::uint32_t>(length * sizeof(Complex));
    command.frames = static_cast<std::uint32_t>(std::min(max_elements, count - first) / length);
    command.in_address = command.out_address = first * sizeof(Complex);
    list.push_back(command);
  }
  return list;
}

}  // namespace

Result<std::unique_ptr<Driver>> FFTDriver::open(Device& device, DeviceMemory& memory) {
  std::unique_ptr<FFTDriver> driver(new FFTDriver(device, memory));
  if (auto status = driver->Driver::open("FFT", kind, layout_hash); !status) {
    return tl::unexpected(status.error());
  }
  driver->config_ = Config::from(driver->capabilities<Config::names.size()>());
  return driver;
}

Status FFTDriver::supports(const Kernel& kernel, std::span<const TensorType> inputs,
                           std::span<const TensorType> outputs) const {
  if (dynamic_cast<const FFTKernel*>(&kernel) == nullptr) {
    return failure("FFT runs the operation fft, not " + std::string(kernel.name()));
  }
  if (auto status = kernel.check(inputs, outputs); !status) return status;
  const std::int64_t length = inputs[0].shape.back();
  const std::int64_t max_length = std::int64_t{1} << config_.max_log2;
  if (length < min_length || length > max_length || !std::has_single_bit(static_cast<std::uint64_t>(length))) {
    return failure("this FFT transforms a power of two of " + std::to_string(min_length) + ".." +
                   std::to_string(max_length) + " points, not " + std::to_string(length));
  }
  return {};
}

std::uint64_t FFTDriver::estimate_cycles(const Kernel& kernel, std::span<const TensorType> inputs,
                                         std::span<const TensorType>) const {
  return call_cycles(config_, split(static_cast<const FFTKernel&>(kernel), inputs[0]));
}

Result<std::vector<CommandWords>> FFTDriver::commands(const Kernel& kernel, std::span<const TensorView> inputs,
                                                      std::span<const TensorView> outputs) {
  std::vector<CommandWords> words;
  for (Command& command : split(static_cast<const FFTKernel&>(kernel), *inputs[0].type)) {
    command.in_address += inputs[0].block.physical;
    command.out_address += outputs[0].block.physical;
    words.push_back(command.encode());
  }
  return words;
}

}  // namespace cosoc::fft
