/// What the engine does in one go over a tensor, in the units of the hardware: words, blocks, taps.
#pragma once

#include <optional>
#include <vector>

#include "drivers/conv2d/layer.hpp"

namespace cosoc::conv2d {

/// begin <= x < end.
struct Range {
  std::int64_t begin = 0;
  std::int64_t end = 0;
  std::int64_t size() const { return end - begin; }
  bool operator==(const Range&) const = default;
};

/// Rows or columns of a pass.
///
/// Tap t of output position o lies at input position origin + stride * o + taps[t]; where that is outside of
/// 0..in-1, the operand is the zero point. Position i of the input is position in_offset + in_step * i of the tensor
/// in memory, likewise for the output.
struct Axis {
  std::int64_t in = 1;
  std::int64_t in_offset = 0;
  std::int64_t in_step = 1;
  std::int64_t out = 1;
  std::int64_t out_offset = 0;
  std::int64_t out_step = 1;
  std::int64_t stride = 1;
  std::int64_t origin = 0;
  std::vector<std::int64_t> taps;    // ascending
  std::vector<std::int64_t> kernel;  // the position in the weight's kernel that each tap has, -1: no weights

  /// Input positions inside the input that the outputs `out` need; empty when all lie outside.
  Range inputs(Range out) const;
};

/// A value of the patch that a result is made of: its place in the kernel, and the channel.
struct FoldedValue {
  std::int64_t row = 0;
  std::int64_t column = 0;
  std::int64_t channel = 0;
};

/// Values of row `row` of each patch in the words of line `line` of a group: `count` of them from `value` on, in the
/// lanes from `lane` up. The values of a row are the channels of its first pixel, those of the next, and so on.
struct FoldedRow {
  std::int64_t line = 0;
  std::int64_t row = 0;
  std::int64_t value = 0;
  std::int64_t lane = 0;
  std::int64_t count = 0;
};

/// What one LOAD makes of a row, as a word and its twin.
struct FoldedLoad {
  FoldedRow word;
  std::optional<FoldedRow> twin;
};

/// Pixels of few channels side by side in words, see LOAD. The column axis then counts words, and its `origin` and
/// `kernel` do not count. Either word k begins with pixel origin + stride * k of its row; or, with `lines`, words of
/// several rows: then word k belongs to the patch of output column k, and the row axis counts lines of words, of which
/// each row of results begins a group. Lines have no padding around them: what is outside is loaded as zero points.
struct Fold {
  std::int64_t channels = 1;
  std::int64_t pixels = 1;  // that LOAD takes for a word
  std::int64_t stride = 1;
  std::int64_t origin = 0;
  std::vector<std::vector<FoldedValue>> values = {};  // by word of the reduction and lane; row -1 where a lane has none
  std::int64_t lines = 0;                             // of a group
  std::vector<FoldedLoad> loads = {};                 // of a group
  std::int64_t row_stride = 1;                        // input rows from one group to the next
  std::int64_t row_origin = 0;                        // input row of the first group's row 0
  std::int64_t margin = 0;  // columns at the end of each line that LOAD writes although no result has them
};

/// What LOAD passes over in a row of the input: these pixels with padding around them. Words leave out `skip` channels.
/// Twins begin `twin` pixels later, and that of column k comes with word k + `behind`.
struct FoldedSequence {
  Range pixels;
  std::int64_t left = 0;
  std::int64_t right = 0;
  std::int64_t skip = 0;
  std::int64_t twin = 0;
  std::int64_t twin_skip = 0;
  std::int64_t behind = 0;
};

/// Shape of a tensor in memory, in pixels and words of 16 bytes.
struct TensorShape {
  std::int64_t rows = 1;
  std::int64_t columns = 1;
  std::int64_t words = 1;
  std::int64_t pixels() const { return rows * columns; }
  bool operator==(const TensorShape&) const = default;
};

/// Units of channels: input words that a block of output channels multiplies.
struct Pass {
  std::int64_t images = 1;
  TensorShape in_shape;  // of an image
  TensorShape out_shape;
  Axis rows;
  Axis columns;
  std::optional<Fold> fold;
  /// GEOMETRY.window: each tap of the rows is one step, for kernel columns 0..2 around the output's column. The columns
  /// have one tap at distance 0 then, and their `kernel` does not count.
  bool window = false;
  std::optional<MaxPooling> pooling;
  bool computes = true;  // else the input is pooled as it is
  std::int64_t out_blocks = 1;
  std::int64_t block_words = 1;           // words that each block multiplies, for each tap
  std::vector<std::int64_t> first_words;  // of each block

  std::int64_t taps() const { return static_cast<std::int64_t>(rows.taps.size() * columns.taps.size()); }
  /// Words of a reduction: what a block multiplies for each pixel.
  std::int64_t reduction() const { return taps() * block_words; }
  Size stored() const;
  /// Of words for the output columns `out` of a folded input.
  FoldedSequence sequence(const FoldedLoad& load, Range out) const;
};

/// Positions of the convolution's result that pooled positions need.
Range pooled_inputs(std::int64_t window, std::int64_t stride, std::int64_t padding, std::int64_t extent, Range pooled);

/// Folds the channels of neighbouring pixels of a row into words where this saves steps.
void fold_columns(const Config& config, const Layer& layer, Pass& pass);

/// The same pass with words that rows share where this saves steps of the array. LOAD then passes over a row several
/// times.
std::optional<Pass> with_shared_words(const Config& config, const Layer& layer, const Pass& pass);

/// The same depthwise convolution tap by tap, of which columns can be tiled too.
Pass without_window(const Pass& pass);

/// The passes of a layer that `validate` accepted: one, or one for each phase of a transposed convolution.
std::vector<Pass> passes_of(const Config& config, const Layer& layer);

/// The same pass on an input that has all positions, also those that its strides skip.
Pass with_whole_input(const Pass& pass);

/// Channels of a word of the feature buffer.
inline std::int64_t word_channels(const Config& config) { return 128 / config.activation_bits; }

inline std::int64_t divide_up(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }

}  // namespace cosoc::conv2d
