/// The product of int16 matrices under quantized convolutions, with sums modulo 2^32.
#pragma once

#include <cstddef>
#include <cstdint>

namespace cosoc::quantized {

/// Columns of weights that lie side by side, and rows whose sums with them stay in registers.
inline constexpr std::size_t panel_columns = 16;
inline constexpr std::size_t tile_rows = 6;

constexpr std::size_t whole_panels(std::size_t columns) { return (columns + panel_columns - 1) / panel_columns; }

/// Packed weights of `length` (even) values a channel are panels: where value k of a channel lies, [c / 16][k / 2][c %
/// 16] [k % 2]. Zeros stand for channels that are not there.
constexpr std::size_t packed_place(std::size_t channel, std::size_t k, std::size_t length) {
  return channel / panel_columns * panel_columns * length + k / 2 * (2 * panel_columns) + channel % panel_columns * 2 +
         k % 2;
}

/// sums[row * pitch + channel] = rows[row] . channel's weights, for whole panels of channels.
struct PanelProduct {
  const std::int16_t* rows = nullptr;  // each of `length` values
  std::size_t count = 0;
  std::size_t length = 0;
  const std::int16_t* packed = nullptr;
  std::size_t channels = 0;
  std::int32_t* sums = nullptr;
  std::size_t pitch = 0;  // at least the channels of whole panels
};

void multiply(const PanelProduct& product);

}  // namespace cosoc::quantized
