#include "drivers/fft/driver.hpp"

#include <algorithm>
#include <bit>

#include "device/cycles.hpp"
#include "drivers/fft/cycles.hpp"
#include "kernels/arithmetic.hpp"
#include "kernels/fft.hpp"

namespace cosoc::fft {
namespace {

constexpr std::uint64_t min_length = 8;
/// Elements of one command; the bytes of a transfer are counted in 32 bits.
constexpr std::uint64_t max_elements = std::uint64_t{1} << 28;
/// Columns of a frame: a row of 4 is two beats of memory, and rows of more than 32 gain nothing.
constexpr std::uint64_t min_columns = 4;
constexpr std::uint64_t max_columns = 32;

std::uint8_t log2_of(std::uint64_t power) { return static_cast<std::uint8_t>(std::bit_width(power) - 1); }

/// Columns of each frame of a matrix; 0 when it does not fall into such.
std::uint64_t columns_of_frame(const Config& config, const FFTShape& shape) {
  const std::uint64_t dividing = shape.columns & (~shape.columns + 1);
  const std::uint64_t columns = std::min({dividing, max_columns, (std::uint64_t{1} << config.max_log2) / shape.length});
  return columns >= min_columns ? columns : 0;
}

/// Commands for a call on tensors of this shape, with addresses relative to each tensor.
std::vector<Command> split(const Config& config, bool inverse, const FFTShape& shape) {
  Command command;
  command.opcode = static_cast<std::uint8_t>(inverse ? FFTOperation::inverse : FFTOperation::forward);
  command.scaled = inverse ? 1 : 0;
  command.log2_length = log2_of(shape.length);
  std::uint64_t frame_bytes = shape.length * sizeof(Complex);
  std::uint64_t frames = shape.matrices;  // of one call of `add`
  std::vector<Command> list;
  const auto add = [&](std::uint64_t address) {
    const std::uint64_t limit = max_elements / shape.length >> command.interleave_log2;
    command.in_frame_stride = command.out_frame_stride = static_cast<std::uint32_t>(frame_bytes);
    for (std::uint64_t first = 0; first < frames; first += limit) {
      command.frames = static_cast<std::uint32_t>(std::min(limit, frames - first));
      command.in_address = command.out_address = address + first * frame_bytes;
      list.push_back(command);
    }
  };
  if (shape.columns == 1) {
    add(0);
    return list;
  }
  const std::uint64_t columns = columns_of_frame(config, shape);
  command.interleave_log2 = log2_of(columns);
  command.in_row_stride = command.out_row_stride = static_cast<std::uint32_t>(shape.columns * sizeof(Complex));
  frame_bytes = columns * sizeof(Complex);
  frames = shape.columns / columns;
  for (std::uint64_t matrix = 0; matrix < shape.matrices; ++matrix) {
    add(matrix * shape.length * shape.columns * sizeof(Complex));
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
  const FFTShape shape = static_cast<const FFTKernel&>(kernel).shape(inputs[0]);
  const std::uint64_t max_length = std::uint64_t{1} << config_.max_log2;
  if (shape.length < min_length || shape.length > max_length || !std::has_single_bit(shape.length)) {
    return failure("this FFT transforms a power of two of " + std::to_string(min_length) + ".." +
                   std::to_string(max_length) + " points, not " + std::to_string(shape.length));
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
  const auto& transform = static_cast<const FFTKernel&>(kernel);
  return call_cycles(config_, split(config_, transform.inverse(), transform.shape(inputs[0])));
}

Result<std::vector<CommandWords>> FFTDriver::commands(const Kernel& kernel, std::span<const TensorView> inputs,
                                                      std::span<const TensorView> outputs) {
  std::vector<CommandWords> words;
  const auto& transform = static_cast<const FFTKernel&>(kernel);
  for (Command& command : split(config_, transform.inverse(), transform.shape(*inputs[0].type))) {
    command.in_address += inputs[0].block.physical;
    command.out_address += outputs[0].block.physical;
    words.push_back(command.encode());
  }
  return words;
}

}  // namespace cosoc::fft
