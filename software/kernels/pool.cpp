#include "kernels/pool.hpp"

#include <algorithm>
#include <type_traits>
#include <vector>

#include "kernels/arithmetic.hpp"

namespace cosoc {

Window read_pool_window(AttributeReader& reader, const std::string& prefix) {
  return {.kernel = reader.integers<2>(prefix + "kernel", 1, max_window_attribute),
          .stride = reader.integers<2>(prefix + "stride", 1, max_window_attribute),
          .padding = reader.integers<4>(prefix + "padding", 0, max_window_attribute)};
}

Status check_pool(std::string_view operation, const Window& window, std::span<const TensorType> inputs,
                  std::span<const TensorType> outputs) {
  TypeCheck check(operation, inputs, outputs);
  if (!check.counts(1, 1)) return check.status();
  check.feature_map(inputs[0]);
  check.feature_map_like(outputs[0], inputs[0]);
  for (std::size_t axis = 0; axis < 2; ++axis) {
    const bool inside = window.padding[axis] < window.kernel[axis] && window.padding[axis + 2] < window.kernel[axis];
    check.require(inside, "padding must be smaller than the kernel");
  }
  if (!check.good()) return check.status();
  const auto& in = inputs[0].shape;
  const std::int64_t rows = window.positions(0, in[1]);
  const std::int64_t columns = window.positions(1, in[2]);
  check.require(rows > 0 && columns > 0, "the kernel does not fit " + inputs[0].describe() + " with its padding");
  if (check.good()) check.shape(outputs[0], {in[0], rows, columns, in[3]});
  return check.status();
}

void max_pool(const Window& window, const TensorView& input, const TensorView& output) {
  with_activation(input.type->dtype, [&]<class Activation>(Activation) {
    const std::size_t pitch = input.type->pixel_pitch() / sizeof(Activation);
    const auto largest = [pitch](const Activation* first, std::int64_t rows, std::int64_t columns,
                                 std::size_t row_pitch, Activation* out) {
      std::copy_n(first, pitch, out);
      for (std::int64_t row = 0; row < rows; ++row, first += row_pitch) {
        const Activation* pixel = first;
        for (std::int64_t column = 0; column < columns; ++column, pixel += pitch) {
          for (std::size_t i = 0; i < pitch; ++i) out[i] = std::max(out[i], pixel[i]);
        }
      }
    };
    for_each_window<Activation>(window, input, output, largest);
  });
}

void average_pool(const Window& window, float multiplier, const std::array<std::int16_t, 2>& clamp,
                  const TensorView& input, const TensorView& output) {
  with_activation(input.type->dtype, [&]<class Activation>(Activation) {
    using Sum = std::conditional_t<sizeof(Activation) == 1, std::int32_t, std::int64_t>;
    const std::size_t pitch = input.type->pixel_pitch() / sizeof(Activation);
    const std::int32_t in_zero_point = input.type->zero_point;
    std::vector<Sum> sums(pitch);
    const auto average = [&](const Activation* first, std::int64_t rows, std::int64_t columns, std::size_t row_pitch,
                             Activation* out) {
      std::fill(sums.begin(), sums.end(), 0);
      for (std::int64_t row = 0; row < rows; ++row, first += row_pitch) {
        const Activation* pixel = first;
        for (std::int64_t column = 0; column < columns; ++column, pixel += pitch) {
          for (std::size_t channel = 0; channel < pitch; ++channel) sums[channel] += pixel[channel] - in_zero_point;
        }
      }
      for (std::size_t channel = 0; channel < pitch; ++channel) {
        out[channel] = requantize<Activation>(sums[channel], multiplier, output.type->zero_point, clamp);
      }
    };
    for_each_window<Activation>(window, input, output, average);
  });
}

bool average_fits(const Window& window, const TensorType& input) {
  return std::min(window.kernel[0], input.shape[1]) * std::min(window.kernel[1], input.shape[2]) <= INT32_MAX / 255;
}

std::uint64_t pool_operations(const Window& window, const TensorType& output) {
  return static_cast<std::uint64_t>(output.elements()) * static_cast<std::uint64_t>(window.kernel[0]) *
         static_cast<std::uint64_t>(window.kernel[1]);
}

}  // namespace cosoc
