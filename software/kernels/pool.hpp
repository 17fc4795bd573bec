/// What pooling operations share, and convolutions that pool their result.
#pragma once

#include <nlohmann/json.hpp>
#include <span>

#include "kernels/attributes.hpp"
#include "kernels/check.hpp"
#include "kernels/window.hpp"

namespace cosoc {

/// Reads `kernel`, `stride` and `padding`; the names begin with `prefix`.
Window read_pool_window(AttributeReader& reader, const std::string& prefix = "");

/// Checks one feature map in and one out for a pooling window. Padding is smaller than the kernel, so that no window
/// lies in the padding alone.
Status check_pool(std::string_view operation, const Window& window, std::span<const TensorType> inputs,
                  std::span<const TensorType> outputs);

/// Calls `visit(input pixels of the window inside the image, output pixel)` for every output pixel.
///
/// `visit` is called as visit(const Activation* first, std::int64_t rows, std::int64_t columns, std::size_t row_pitch,
/// Activation* out); pitches are in values.
template <class Activation, class Visit>
void for_each_window(const Window& window, const TensorView& input, const TensorView& output, const Visit& visit) {
  const auto& in = input.type->shape;
  const auto& out = output.type->shape;
  const std::size_t pitch = input.type->pixel_pitch() / sizeof(Activation);
  const std::size_t row_pitch = pitch * static_cast<std::size_t>(in[2]);
  auto* destination = output.as<Activation>();
  for (std::int64_t image = 0; image < out[0]; ++image) {
    for (std::int64_t row = 0; row < out[1]; ++row) {
      const std::int64_t top = std::max<std::int64_t>(window.origin(0, row), 0);
      const std::int64_t bottom = std::min(window.origin(0, row) + window.kernel[0], in[1]);
      for (std::int64_t column = 0; column < out[2]; ++column, destination += pitch) {
        const std::int64_t left = std::max<std::int64_t>(window.origin(1, column), 0);
        const std::int64_t right = std::min(window.origin(1, column) + window.kernel[1], in[2]);
        const auto* first = input.as<Activation>() + static_cast<std::size_t>(image * in[1] + top) * row_pitch +
                            static_cast<std::size_t>(left) * pitch;
        visit(first, bottom - top, right - left, row_pitch, destination);
      }
    }
  }
}

/// Largest value of every window; padding is not a value.
void max_pool(const Window& window, const TensorView& input, const TensorView& output);

/// Sum of every window inside the image, rescaled.
void average_pool(const Window& window, float multiplier, const std::array<std::int16_t, 2>& clamp,
                  const TensorView& input, const TensorView& output);

/// Whether no sum over a window of a feature map of this type can leave int32.
bool average_fits(const Window& window, const TensorType& input);

/// Elements read by all windows, padding included.
std::uint64_t pool_operations(const Window& window, const TensorType& output);

}  // namespace cosoc
