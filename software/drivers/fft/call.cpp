#include "drivers/fft/call.hpp"

#include <algorithm>
#include <bit>

#include "kernels/arithmetic.hpp"
#include "kernels/fft_multiply.hpp"
#include "kernels/rfft.hpp"

namespace cosoc::fft {
namespace {

/// Elements of one command; the bytes of a transfer are counted in 32 bits.
constexpr std::uint64_t max_elements = std::uint64_t{1} << 28;

std::uint8_t log2_of(std::uint64_t power) { return static_cast<std::uint8_t>(std::bit_width(power) - 1); }

/// Makes the commands of a call, with addresses relative to each tensor.
class Splitter {
 public:
  Splitter(const Config& config, const Call& call) : call_(call), frame_bytes_(call.shape.length * sizeof(Complex)) {
    const FFTShape& shape = call.shape;
    command_.opcode = static_cast<std::uint8_t>(call.inverse ? FFTOperation::inverse : FFTOperation::forward);
    command_.scaled = call.inverse ? 1 : 0;
    command_.log2_length = log2_of(shape.length);
    command_.real = call.real ? 1 : 0;
    command_.multiply = call.b_count > 0 ? 1 : 0;
    command_.conjugate = call.conjugate ? 1 : 0;
    if (shape.columns == 1) {
      rows();
    } else {
      matrices(columns_of_frame(config, shape));
    }
  }

  std::vector<Command> list;

 private:
  /// Transforms that lie one after the other. A shorter b repeats: a single one by its stride, more of them by
  /// commands.
  void rows() {
    const std::uint64_t b_frames = call_.b_count / call_.shape.length;
    const std::uint64_t period = b_frames > 1 ? b_frames : call_.shape.matrices;
    for (std::uint64_t first = 0; first < call_.shape.matrices; first += period) {
      add(first * frame_bytes_, 0, period, b_frames > 1 ? frame_bytes_ : 0);
    }
  }

  /// Columns of matrices. A b with one number for each column is the same row again and again.
  void matrices(std::uint64_t columns) {
    const FFTShape& shape = call_.shape;
    const std::uint64_t row_bytes = shape.columns * sizeof(Complex);
    const std::uint64_t b_bytes = call_.b_count * sizeof(Complex);
    command_.interleave_log2 = log2_of(columns);
    command_.in_row_stride = command_.out_row_stride = static_cast<std::uint32_t>(row_bytes);
    command_.b_row_stride = b_bytes == row_bytes ? 0 : command_.in_row_stride;
    frame_bytes_ = columns * sizeof(Complex);
    for (std::uint64_t matrix = 0; matrix < shape.matrices; ++matrix) {
      const std::uint64_t address = matrix * shape.length * row_bytes;
      add(address, b_bytes > row_bytes ? address % b_bytes : 0, shape.columns / columns, frame_bytes_);
    }
  }

  void add(std::uint64_t address, std::uint64_t b_address, std::uint64_t frames, std::uint64_t b_stride) {
    const std::uint64_t out_frame_bytes = frame_bytes_ + (call_.real ? sizeof(Complex) : 0);
    const std::uint64_t limit = max_elements / (call_.real ? 2 : 1) / call_.shape.length >> command_.interleave_log2;
    command_.in_frame_stride = static_cast<std::uint32_t>(frame_bytes_);
    command_.out_frame_stride = static_cast<std::uint32_t>(out_frame_bytes);
    command_.b_frame_stride = static_cast<std::uint32_t>(b_stride);
    for (std::uint64_t first = 0; first < frames; first += limit) {
      command_.frames = static_cast<std::uint32_t>(std::min(limit, frames - first));
      command_.in_address = address + first * frame_bytes_;
      command_.out_address = call_.real ? first * out_frame_bytes : command_.in_address;
      command_.b_address = b_address + first * b_stride;
      list.push_back(command_);
    }
  }

  const Call& call_;
  std::uint64_t frame_bytes_;
  Command command_;
};

}  // namespace

bool runs(const Kernel& kernel) {
  return dynamic_cast<const FFTKernel*>(&kernel) != nullptr ||
         dynamic_cast<const FFTMultiplyKernel*>(&kernel) != nullptr ||
         dynamic_cast<const RFFTKernel*>(&kernel) != nullptr;
}

Call call_of(const Kernel& kernel, std::span<const TensorType> inputs) {
  if (const auto* const fft = dynamic_cast<const FFTKernel*>(&kernel)) {
    return {.shape = fft->shape(inputs[0]), .inverse = fft->inverse()};
  }
  if (const auto* const product = dynamic_cast<const FFTMultiplyKernel*>(&kernel)) {
    return {.shape = product->transform().shape(inputs[0]),
            .inverse = product->transform().inverse(),
            .conjugate = product->conjugate(),
            .b_count = static_cast<std::uint64_t>(inputs[1].elements())};
  }
  const auto samples = static_cast<std::size_t>(inputs[0].shape.back());
  const auto signals = static_cast<std::size_t>(inputs[0].elements()) / samples;
  return {.shape = {.matrices = signals, .length = samples / 2}, .real = true};
}

std::uint64_t columns_of_frame(const Config& config, const FFTShape& shape) {
  const std::uint64_t dividing = shape.columns & (~shape.columns + 1);
  const std::uint64_t columns = std::min({dividing, max_columns, (std::uint64_t{1} << config.max_log2) / shape.length});
  return columns >= min_columns ? columns : 0;
}

bool reaches(const Call& call) {
  const FFTShape& shape = call.shape;
  const bool row = shape.columns > 1 && call.b_count == shape.columns;
  return row || call.b_count % (shape.length * shape.columns) == 0;
}

std::vector<Command> split(const Config& config, const Call& call) { return Splitter(config, call).list; }

}  // namespace cosoc::fft
