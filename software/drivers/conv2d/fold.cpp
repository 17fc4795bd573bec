/// First layers: few channels of neighbouring pixels in one word.
#include <algorithm>

#include "drivers/conv2d/pass.hpp"
#include "drivers/conv2d/program.hpp"

namespace cosoc::conv2d {
namespace {

constexpr std::int64_t most_fold_channels = 4;
constexpr std::int64_t most_fold_padding = 15;  // LOAD.fold_left and fold_right
constexpr std::int64_t most_lines = 15;         // GEOMETRY.stride_rows
constexpr std::int64_t most_row_tap = 127;      // rows of micro-operations
constexpr std::int64_t most_columns = 4095;
constexpr FoldedValue no_value = {-1, -1, -1};

bool may_fold(const Layer& layer, const Pass& pass) {
  return layer.kind == Kind::convolution && layer.groups == 1 && layer.in_channels <= most_fold_channels &&
         pass.columns.in_step == 1;
}

/// Words of the values that a row of a patch leaves over when it has filled whole words: `rows` rows share one, of
/// which each begins `row_step` rows after the one before, the first of a patch with its first row.
struct SharedWords {
  std::int64_t rows = 1;
  std::int64_t row_step = 1;
  std::int64_t count = 1;  // of a patch
};

/// The fewest words for `kernel_rows` rows, with as few rows in each as that takes: each costs another pass over the
/// image. Each row of results begins a line of them, so a step is a multiple of `stride`; none when fewer rows than
/// that fit.
std::optional<SharedWords> shared_words(std::int64_t most_rows, std::int64_t kernel_rows, std::int64_t stride) {
  if (most_rows >= kernel_rows) return SharedWords{kernel_rows, stride, 1};
  if (most_rows < stride) return {};
  const std::int64_t step = most_rows / stride * stride;
  const std::int64_t count = divide_up(kernel_rows - most_rows, step) + 1;
  return SharedWords{std::max(step, kernel_rows - (count - 1) * step), step, count};
}

/// A word of a patch: its line, counted from that of the first group, and the patch's row that its group begins with.
struct Tap {
  std::int64_t line = 0;
  std::int64_t first_row = 0;
};

/// Lines of words for the rows of a kernel.
struct Lines {
  std::vector<FoldedRow> rows;
  std::int64_t of_group = 0;
  std::vector<Tap> taps;  // of a patch, by lines
};

/// Each group has a line for each whole word of each row up to the next result's, then one of shared words; none where
/// too few rows fit into one.
std::optional<Lines> lines_of(const Layer& layer, std::int64_t lanes) {
  const std::int64_t values = layer.kernel.columns * layer.in_channels;
  const std::int64_t whole = values / lanes;  // words of a row that are full
  const std::int64_t rest = values % lanes;
  const std::int64_t stride = layer.stride.rows;
  const std::int64_t whole_lines = std::min(stride, layer.kernel.rows) * whole;
  Lines lines = {{}, whole_lines + (rest > 0 ? 1 : 0), {}};
  for (std::int64_t line = 0; line < whole_lines; ++line) {
    lines.rows.push_back({line, line / whole, line % whole * lanes, 0, lanes});
  }
  for (std::int64_t row = 0; row < layer.kernel.rows; ++row) {
    for (std::int64_t word = 0; word < whole; ++word) {
      lines.taps.push_back({row / stride * lines.of_group + row % stride * whole + word, row / stride * stride});
    }
  }
  if (rest > 0) {
    const auto shared = shared_words(lanes / rest, layer.kernel.rows, stride);
    if (!shared) return {};
    for (std::int64_t row = 0; row < shared->rows; ++row) {
      lines.rows.push_back({whole_lines, row, whole * lanes, row * rest, rest});
    }
    for (std::int64_t row = 0; row < shared->count * shared->row_step; row += shared->row_step) {
      lines.taps.push_back({row / stride * lines.of_group + whole_lines, row});
    }
  }
  std::ranges::sort(lines.taps, {}, &Tap::line);
  return lines;
}

/// Which values the lanes of the words of a patch have. Where words hold a value twice, the second has no weight.
class PatchValues {
 public:
  PatchValues(const Config& config, const Layer& layer)
      : lanes_(word_channels(config)),
        channels_(layer.in_channels),
        row_values_(layer.kernel.columns * channels_),
        taken_(static_cast<std::size_t>(layer.kernel.rows * row_values_)) {}

  /// A word of line `line` of a group that begins with row `first` of the patch.
  std::vector<FoldedValue> word(const std::vector<FoldedRow>& rows, std::int64_t line, std::int64_t first) {
    std::vector<FoldedValue> word(static_cast<std::size_t>(lanes_), no_value);
    for (const FoldedRow& part : rows) {
      for (std::int64_t i = 0; part.line == line && i < part.count; ++i) {
        const std::int64_t row = first + part.row;
        const std::int64_t value = part.value + i;
        const auto at = static_cast<std::size_t>(row * row_values_ + value);
        if (at >= taken_.size() || taken_[at]) continue;
        taken_[at] = true;
        word[static_cast<std::size_t>(part.lane + i)] = {row, value / channels_, value % channels_};
      }
    }
    return word;
  }

 private:
  std::int64_t lanes_;
  std::int64_t channels_;
  std::int64_t row_values_;
  std::vector<bool> taken_;
};

/// Where the words begin that hold some values of each patch.
struct Start {
  std::int64_t pixel = 0;  // from the patch's first pixel
  std::int64_t skip = 0;   // channels of it that the words leave out
};

Start start_of(const FoldedRow& part, std::int64_t channels) {
  const std::int64_t before = part.value - part.lane;
  const std::int64_t skip = (before % channels + channels) % channels;
  return {(before - skip) / channels, skip};
}

/// Joins what the same LOAD can make of a row: words that begin in one pixel, twins in a later one with another
/// remainder. A twin's first columns fall into the line before theirs, so they are never those of a group's first line.
std::vector<FoldedLoad> pair(const std::vector<FoldedRow>& rows, const Fold& fold) {
  std::vector<FoldedLoad> loads;
  std::vector<bool> done(rows.size());
  for (std::size_t word = 0; word < rows.size(); ++word) {
    if (done[word]) continue;
    FoldedLoad load = {rows[word], {}};
    for (std::size_t twin = word + 1; twin < rows.size() && !load.twin; ++twin) {
      const std::int64_t distance =
          start_of(rows[twin], fold.channels).pixel - start_of(rows[word], fold.channels).pixel;
      if (done[twin] || rows[twin].row != rows[word].row || distance < 0 || distance % fold.stride == 0) continue;
      load.twin = rows[twin];
      done[twin] = true;
    }
    loads.push_back(load);
  }
  return loads;
}

/// Whether LOAD can make the words: it has pixels to pass over, and not too many around them.
bool can_load(const Pass& pass, const FoldedLoad& load) {
  const FoldedSequence sequence = pass.sequence(load, {0, pass.columns.out});
  return sequence.pixels.size() > 0 && std::max(sequence.left, sequence.right) <= most_fold_padding;
}

}  // namespace

FoldedSequence Pass::sequence(const FoldedLoad& load, Range out) const {
  const Start start = start_of(load.word, fold->channels);
  FoldedSequence sequence;
  sequence.skip = start.skip;
  if (load.twin) {
    const Start later = start_of(*load.twin, fold->channels);
    sequence.twin = (later.pixel - start.pixel) % fold->stride;
    sequence.behind = (later.pixel - start.pixel) / fold->stride;
    sequence.twin_skip = later.skip;
  }
  const std::int64_t words = out.size() + columns.taps.back() + sequence.behind;
  const std::int64_t first = fold->origin + fold->stride * out.begin + start.pixel;
  const std::int64_t end = first + fold->stride * (words - 1) + sequence.twin + fold->pixels;
  sequence.pixels = {std::max<std::int64_t>(first, 0), std::min(end, columns.in)};
  sequence.left = std::max<std::int64_t>(0, -first);
  sequence.right = std::max<std::int64_t>(0, end - columns.in);
  return sequence;
}

void fold_columns(const Config& config, const Layer& layer, Pass& pass) {
  if (!may_fold(layer, pass)) return;
  const Axis& axis = pass.columns;
  const std::int64_t lanes = word_channels(config);
  const std::int64_t channels = layer.in_channels;
  Fold fold = {channels, folded_pixels(lanes, channels), axis.stride, axis.origin};
  std::vector<std::int64_t> taps;
  std::vector<std::vector<FoldedValue>> of_row;
  std::size_t covered = 0;
  while (covered < axis.taps.size()) {
    const std::int64_t word = axis.taps[covered] / fold.stride;
    std::vector<FoldedValue> word_values(static_cast<std::size_t>(lanes), no_value);
    const std::size_t before = covered;
    for (; covered < axis.taps.size(); ++covered) {
      const std::int64_t pixel = axis.taps[covered] - word * fold.stride;
      if (pixel >= lanes / channels) break;
      for (std::int64_t channel = 0; channel < channels; ++channel) {
        word_values[static_cast<std::size_t>(pixel * channels + channel)] = {0, axis.kernel[covered], channel};
      }
    }
    if (covered == before) return;  // no word begins close enough to this tap
    taps.push_back(word);
    of_row.push_back(std::move(word_values));
  }
  if (taps.size() >= axis.taps.size()) return;
  for (const std::int64_t row : pass.rows.kernel) {
    for (std::vector<FoldedValue> word_values : of_row) {
      for (FoldedValue& value : word_values) value.row = value.column < 0 ? -1 : row;
      fold.values.push_back(std::move(word_values));
    }
  }
  Pass folded = pass;
  folded.columns.stride = 1;
  folded.columns.taps = std::move(taps);
  folded.columns.kernel.clear();
  folded.fold = std::move(fold);
  if (can_load(folded, {})) pass = std::move(folded);
}

std::optional<Pass> with_shared_words(const Config& config, const Layer& layer, const Pass& pass) {
  if (!may_fold(layer, pass) || pass.rows.in_step != 1 || layer.dilation != Size{1, 1}) return {};
  if (pass.in_shape.columns > most_columns) return {};
  const auto shared = lines_of(layer, word_channels(config));
  if (!shared) return {};
  const auto& [rows, lines, taps] = *shared;
  if (std::ssize(taps) >= pass.reduction() || lines > most_lines || taps.back().line > most_row_tap) return {};

  Fold fold = {layer.in_channels, folded_pixels(word_channels(config), layer.in_channels), layer.stride.columns,
               -layer.padding.left};
  fold.lines = lines;
  fold.loads = pair(rows, fold);
  fold.row_stride = layer.stride.rows;
  fold.row_origin = -layer.padding.top;
  PatchValues patch(config, layer);
  Pass sharing = pass;
  sharing.rows = {};
  for (const auto& [line, first] : taps) {
    sharing.rows.taps.push_back(line);
    fold.values.push_back(patch.word(rows, line % lines, first));
  }
  sharing.rows.stride = lines;
  sharing.rows.out = pass.rows.out;
  sharing.rows.in = lines * (pass.rows.out - 1) + taps.back().line + 1;
  sharing.columns = {};
  sharing.columns.in = pass.in_shape.columns;
  sharing.columns.out = pass.columns.out;
  sharing.columns.taps = {0};
  sharing.fold = fold;
  for (const FoldedLoad& load : fold.loads) {
    if (!can_load(sharing, load)) return {};
    // A twin's columns that are too early, and behind them words that are too late.
    sharing.fold->margin = std::max(sharing.fold->margin, 2 * sharing.sequence(load, {0, sharing.columns.out}).behind);
  }
  return sharing;
}

}  // namespace cosoc::conv2d
