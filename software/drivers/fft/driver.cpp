#include "drivers/fft/driver.hpp"

#include <bit>

#include "device/cycles.hpp"
#include "drivers/fft/call.hpp"
#include "drivers/fft/cycles.hpp"
#include "kernels/arithmetic.hpp"

namespace cosoc::fft {
namespace {

constexpr std::uint64_t min_length = 8;

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
  if (!runs(kernel)) {
    return failure("FFT runs the operations fft, fft_multiply and rfft, not " + std::string(kernel.name()));
  }
  if (auto status = kernel.check(inputs, outputs); !status) return status;
  const Call call = call_of(kernel, inputs);
  const FFTShape& shape = call.shape;
  if (call.real && config_.real_input == 0) {
    return failure("this FFT has no transforms of real signals; build it with fft_real_input=1");
  }
  if (call.b_count > 0 && config_.multiply == 0) {
    return failure("this FFT does not multiply its results; build it with fft_multiply=1");
  }
  const std::uint64_t max_length = std::uint64_t{1} << config_.max_log2;
  const bool odd = call.real && inputs[0].shape.back() % 2 != 0;
  if (shape.length < min_length || shape.length > max_length || !std::has_single_bit(shape.length) || odd) {
    const std::uint64_t unit = call.real ? 2 : 1;
    const std::uint64_t asked = call.real ? static_cast<std::uint64_t>(inputs[0].shape.back()) : shape.length;
    return failure("this FFT transforms a power of two of " + std::to_string(unit * min_length) + ".." +
                   std::to_string(unit * max_length) + (call.real ? " real samples" : " points") + ", not " +
                   std::to_string(asked));
  }
  if (call.b_count > 0 && !reaches(call)) {
    return failure(
        "this FFT multiplies columns by a second operand of whole matrices or of one number for each column");
  }
  if (shape.columns != 1 && columns_of_frame(config_, shape) == 0) {
    return failure("this FFT transforms at least " + std::to_string(min_columns) +
                   " columns at a time, together at most " + std::to_string(max_length) + " points, not " +
                   std::to_string(shape.columns) + " columns of " + std::to_string(shape.length) + " points");
  }
  if (shape.columns * sizeof(Complex) > UINT32_MAX) {
    return failure("a row of the matrix has " + std::to_string(shape.columns) +
                   " elements; this FFT takes less than 2^29");
  }
  return {};
}

std::uint64_t FFTDriver::estimate_cycles(const Kernel& kernel, std::span<const TensorType> inputs,
                                         std::span<const TensorType>) const {
  return call_cycles(config_, split(config_, call_of(kernel, inputs)));
}

Result<std::vector<CommandWords>> FFTDriver::commands(const Kernel& kernel, std::span<const TensorView> inputs,
                                                      std::span<const TensorView> outputs) {
  std::vector<TensorType> types;
  for (const TensorView& input : inputs) types.push_back(*input.type);
  std::vector<CommandWords> words;
  for (Command& command : split(config_, call_of(kernel, types))) {
    command.in_address += inputs[0].block.physical;
    if (inputs.size() > 1) command.b_address += inputs[1].block.physical;
    command.out_address += outputs[0].block.physical;
    words.push_back(command.encode());
  }
  return words;
}

}  // namespace cosoc::fft
