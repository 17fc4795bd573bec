#include "drivers/conv2d/pass.hpp"

#include <algorithm>
#include <numeric>

namespace cosoc::conv2d {
namespace {

constexpr std::int64_t most_pixel_pitch = 1023;

std::int64_t floor_modulo(std::int64_t a, std::int64_t b) { return ((a % b) + b) % b; }

/// An axis of a convolution with the given padding before the input.
Axis convolution_axis(std::int64_t in, std::int64_t out, std::int64_t kernel, std::int64_t stride,
                      std::int64_t dilation, std::int64_t padding) {
  Axis axis;
  axis.in = in;
  axis.out = out;
  axis.stride = stride;
  axis.origin = -padding;
  for (std::int64_t tap = 0; tap < kernel; ++tap) {
    axis.taps.push_back(tap * dilation);
    axis.kernel.push_back(tap);
  }
  return axis;
}

/// With a kernel of one, the positions that a stride skips are not loaded.
void skip_unused_inputs(Axis& axis) {
  if (axis.taps.size() > 1 || axis.stride == 1) return;
  const std::int64_t outside = divide_up(-axis.origin, axis.stride);  // outputs before the first one inside
  axis.in_offset = axis.stride * outside + axis.origin;
  axis.in_step = axis.stride;
  axis.in = axis.in_offset < axis.in ? divide_up(axis.in - axis.in_offset, axis.stride) : 0;
  axis.origin = -outside;
  axis.stride = 1;
}

/// The outputs o with o % stride == phase of a transposed convolution: a convolution with some of the taps.
Axis transposed_axis(std::int64_t in, std::int64_t out, std::int64_t kernel, std::int64_t stride, std::int64_t dilation,
                     std::int64_t padding, std::int64_t phase) {
  Axis axis;
  axis.in = in;
  axis.out = out > phase ? divide_up(out - phase, stride) : 0;
  axis.out_offset = phase;
  axis.out_step = stride;
  for (std::int64_t tap = kernel - 1; tap >= 0; --tap) {
    // Output phase + stride * q has the product of this tap with input q + distance / stride.
    const std::int64_t distance = phase + padding - tap * dilation;
    if (floor_modulo(distance, stride) != 0) continue;
    if (axis.taps.empty()) axis.origin = distance / stride;
    axis.taps.push_back(distance / stride - axis.origin);
    axis.kernel.push_back(tap);
  }
  if (axis.taps.empty()) {
    axis.taps = {0};
    axis.kernel = {-1};
  }
  return axis;
}

/// The words of the input that each block of output channels multiplies.
void assign_words(const Config& config, const Layer& layer, Pass& pass) {
  const std::int64_t lanes = config.output_lanes;
  const std::int64_t out_group = layer.out_channels / layer.groups;
  const std::int64_t in_group = layer.in_channels / layer.groups;
  pass.out_blocks = divide_up(layer.out_channels, lanes);
  for (std::int64_t block = 0; block < pass.out_blocks; ++block) {
    const std::int64_t last_channel = std::min(layer.out_channels, (block + 1) * lanes) - 1;
    const std::int64_t first = block * lanes / out_group * in_group;
    const std::int64_t end = (last_channel / out_group + 1) * in_group;
    pass.first_words.push_back(first / word_channels(config));
    pass.block_words = std::max(pass.block_words, divide_up(end, word_channels(config)) - pass.first_words.back());
  }
  for (auto& word : pass.first_words) word = std::min(word, pass.in_shape.words - pass.block_words);
}

/// Without a window across pixels their arrangement does not matter: images become rows, and columns too where the
/// pitch of pixels is too large for its field.
void flatten(Pass& pass) {
  const auto plain = [](const Axis& axis) {
    return axis.taps.size() == 1 && axis.origin == 0 && axis.in == axis.out && axis.in_step == 1 && axis.out_step == 1;
  };
  if (!plain(pass.rows) || !plain(pass.columns) || pass.pooling || pass.fold) return;
  std::int64_t rows = pass.images * pass.rows.in;
  pass.images = 1;
  if (std::max(pass.in_shape.words, pass.out_shape.words) > most_pixel_pitch) {
    rows *= pass.columns.in;
    pass.columns.in = pass.columns.out = pass.in_shape.columns = pass.out_shape.columns = 1;
  }
  pass.rows.in = pass.rows.out = pass.in_shape.rows = pass.out_shape.rows = rows;
}

/// Takes three kernel columns of a depthwise convolution in one step where this saves time.
void use_window(const Config& config, const Layer& layer, Pass& pass) {
  constexpr std::int64_t window_columns = 3;
  constexpr std::int64_t most_rows = 16;
  const Axis& columns = pass.columns;
  const auto kernel_rows = static_cast<std::int64_t>(pass.rows.taps.size());
  const bool depthwise = layer.groups == layer.in_channels && layer.groups == layer.out_channels;
  if (!depthwise || pass.fold || pass.pooling || pass.rows.stride != 1 || columns.stride != 1 ||
      columns.in != columns.out || columns.origin != -1 || columns.taps != std::vector<std::int64_t>{0, 1, 2} ||
      kernel_rows > most_rows) {
    return;
  }
  // A group has its results a pixel later than its words come, so there may be one more.
  const std::int64_t pixels = pass.rows.out * columns.out;
  const std::int64_t slices = std::min<std::int64_t>(config.pixel_lanes, 4);
  const std::int64_t steps = kernel_rows * window_columns * word_channels(config) / config.input_lanes;
  if ((pixels / config.pixel_lanes + 1) * std::max(kernel_rows, slices) >=
      divide_up(pixels, config.pixel_lanes) * std::max(steps, slices)) {
    return;
  }
  pass.window = true;
  pass.columns.origin = 0;
  pass.columns.taps = {0};
}

}  // namespace

Range Axis::inputs(Range outputs) const {
  const std::int64_t first = origin + stride * outputs.begin + taps.front();
  const std::int64_t last = origin + stride * (outputs.end - 1) + taps.back();
  const Range range = {std::max<std::int64_t>(first, 0), std::min(last + 1, in)};
  return range.begin < range.end ? range : Range{0, 0};
}

Range pooled_inputs(std::int64_t window, std::int64_t stride, std::int64_t padding, std::int64_t extent, Range pooled) {
  return {std::max<std::int64_t>(pooled.begin * stride - padding, 0),
          std::min((pooled.end - 1) * stride - padding + window, extent)};
}

Size Pass::stored() const {
  if (pooling) return {out_shape.rows, out_shape.columns};
  return {rows.out, columns.out};
}

Pass with_whole_input(const Pass& pass) {
  Pass whole = pass;
  const auto widen = [](Axis& axis, std::int64_t extent) {
    if (axis.in_step == 1) return;
    axis.origin = axis.in_offset + axis.in_step * axis.origin;
    axis.stride = axis.in_step;
    axis.in = extent;
    axis.in_offset = 0;
    axis.in_step = 1;
  };
  widen(whole.rows, pass.in_shape.rows);
  widen(whole.columns, pass.in_shape.columns);
  return whole;
}

Pass without_window(const Pass& pass) {
  Pass plain = pass;
  plain.window = false;
  plain.columns.origin = -1;
  plain.columns.taps = {0, 1, 2};
  return plain;
}

std::vector<Pass> passes_of(const Config& config, const Layer& layer) {
  const Size convolved = convolved_size(layer);
  const Size out = output_size(layer);
  Pass common;
  common.images = layer.images;
  common.in_shape = {layer.in.rows, layer.in.columns, divide_up(layer.in_channels, word_channels(config))};
  common.out_shape = {out.rows, out.columns, divide_up(layer.out_channels, word_channels(config))};
  common.pooling = layer.pooling;
  common.computes = layer.kind != Kind::max_pooling;
  if (common.computes) assign_words(config, layer, common);
  if (layer.kind != Kind::transposed_convolution) {
    const bool pooling = !common.computes;
    const Size kernel = pooling ? Size{} : layer.kernel;
    const Size stride = pooling ? Size{} : layer.stride;
    const Padding padding = pooling ? Padding{} : layer.padding;
    common.rows =
        convolution_axis(layer.in.rows, convolved.rows, kernel.rows, stride.rows, layer.dilation.rows, padding.top);
    common.columns = convolution_axis(layer.in.columns, convolved.columns, kernel.columns, stride.columns,
                                      layer.dilation.columns, padding.left);
    skip_unused_inputs(common.rows);
    skip_unused_inputs(common.columns);
    if (common.computes) fold_columns(config, layer, common);
    flatten(common);
    if (common.computes) use_window(config, layer, common);
    return {common};
  }
  std::vector<Pass> passes;
  for (std::int64_t y = 0; y < std::min(layer.stride.rows, out.rows); ++y) {
    for (std::int64_t x = 0; x < std::min(layer.stride.columns, out.columns); ++x) {
      Pass pass = common;
      pass.rows = transposed_axis(layer.in.rows, out.rows, layer.kernel.rows, layer.stride.rows, layer.dilation.rows,
                                  layer.padding.top, y);
      pass.columns = transposed_axis(layer.in.columns, out.columns, layer.kernel.columns, layer.stride.columns,
                                     layer.dilation.columns, layer.padding.left, x);
      passes.push_back(std::move(pass));
    }
  }
  return passes;
}

}  // namespace cosoc::conv2d
