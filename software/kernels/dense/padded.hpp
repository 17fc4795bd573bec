/// Parts of images with their padding, in which the inputs of every tap lie side by side.
#pragma once

#include <algorithm>
#include <vector>

#include "kernels/dense/convolve.hpp"

namespace cosoc::dense {

/// Floats that are copied at a time.
inline constexpr std::int64_t padded_step = 8;

/// Outputs of one channel: `count` from `first` on, along each axis.
struct Part {
  Axes3 first{0, 0, 0};
  Axes3 count{1, 1, 1};
};

/// The inputs of one channel under a part of its outputs. Every row has its columns by their remainder modulo the
/// stride, in lines.
struct Padded {
  Axes3 first;           // place of the first input in the image, negative in the padding
  Axes3 extent;          // the last is that of one line
  std::int64_t strides;  // lines of a row
  std::int64_t pitch;    // floats from a line to the next one: a vector may begin at the last column

  Padded(const Problem& p, const Part& part) : first{}, extent{}, strides(p.windows.stride[2]) {
    const Windows& w = p.windows;
    for (std::size_t axis = 0; axis < 3; ++axis) {
      first[axis] = part.first[axis] * w.stride[axis] - w.padding[axis];
      extent[axis] = (part.count[axis] - 1) * w.stride[axis] + (p.kernel[axis] - 1) * w.dilation[axis] + 1;
    }
    extent[2] = (extent[2] + strides - 1) / strides;
    pitch = extent[2] + padded_step;
  }

  std::int64_t row_pitch() const { return strides * pitch; }
  std::int64_t channel() const { return extent[0] * extent[1] * row_pitch(); }
  /// Where the input under a tap of the part's first output lies.
  std::int64_t offset(const Problem& p, const Axes3& tap) const {
    const Axes3& dilation = p.windows.dilation;
    const std::int64_t shift = tap[2] * dilation[2];
    return (tap[0] * dilation[0] * extent[1] + tap[1] * dilation[1]) * row_pitch() + shift % strides * pitch +
           shift / strides;
  }
};

/// Where the input of every weight lies, from that of the first one on.
[[gnu::always_inline]] inline std::vector<std::int64_t> tap_offsets(const Problem& p, const Padded& padded,
                                                                    std::int64_t channels) {
  std::vector<std::int64_t> offsets;
  offsets.reserve(static_cast<std::size_t>(channels * volume(p.kernel)));
  Axes3 tap{};
  for (std::int64_t channel = 0; channel < channels; ++channel) {
    for (tap[0] = 0; tap[0] < p.kernel[0]; ++tap[0]) {
      for (tap[1] = 0; tap[1] < p.kernel[1]; ++tap[1]) {
        for (tap[2] = 0; tap[2] < p.kernel[2]; ++tap[2]) {
          offsets.push_back(channel * padded.channel() + padded.offset(p, tap));
        }
      }
    }
  }
  return offsets;
}

using PaddedFloats [[gnu::vector_size(32)]] = float;
using PaddedStored [[gnu::vector_size(32), gnu::aligned(4), gnu::may_alias]] = float;
using PaddedLanes [[gnu::vector_size(32)]] = int;

/// Columns of an image's row, for the places from `at` on of a padded row.
struct Columns {
  const float* in;
  std::int64_t at;
  std::int64_t count;
  const float* end;  // of what may be read
};

/// Stores the first `count` lanes, and zeros after them.
[[gnu::always_inline]] inline void store_lanes(const PaddedFloats& value, std::int64_t count, float* to) {
  const PaddedLanes places = {0, 1, 2, 3, 4, 5, 6, 7};
  *reinterpret_cast<PaddedStored*>(to) = places < static_cast<int>(count) ? value : PaddedFloats{};
}

[[gnu::always_inline]] inline void copy_row(const Columns& c, float* to) {
  std::int64_t i = 0;
  for (; i + padded_step <= c.count; i += padded_step) {
    *reinterpret_cast<PaddedStored*>(to + c.at + i) = *reinterpret_cast<const PaddedStored*>(c.in + i);
  }
  if (i == c.count) return;
  if (c.end - c.in >= i + padded_step) {
    store_lanes(*reinterpret_cast<const PaddedStored*>(c.in + i), c.count - i, to + c.at + i);
  } else {
    for (; i < c.count; ++i) to[c.at + i] = c.in[i];
  }
}

/// The same with stride 2: even places in the first line, odd ones in the second.
[[gnu::always_inline]] inline void copy_halves(const Columns& c, std::int64_t pitch, float* to) {
  // Where the first column goes, and the second one.
  float* first = to + c.at % 2 * pitch + c.at / 2;
  float* second = to + (c.at + 1) % 2 * pitch + (c.at + 1) / 2;
  for (std::int64_t i = 0; i < c.count; i += 2 * padded_step) {
    float rest[2 * padded_step];
    const float* in = c.in + i;
    if (c.end - in < 2 * padded_step) {
      std::copy_n(in, c.count - i, rest);
      in = rest;
    }
    const PaddedFloats left = *reinterpret_cast<const PaddedStored*>(in);
    const PaddedFloats right = *reinterpret_cast<const PaddedStored*>(in + padded_step);
    const PaddedFloats even = __builtin_shuffle(left, right, PaddedLanes{0, 2, 4, 6, 8, 10, 12, 14});
    const PaddedFloats odd = __builtin_shuffle(left, right, PaddedLanes{1, 3, 5, 7, 9, 11, 13, 15});
    store_lanes(even, (c.count - i + 1) / 2, first + i / 2);
    store_lanes(odd, (c.count - i) / 2, second + i / 2);
  }
}

/// The same with any stride, and the first `lines` lines only.
[[gnu::always_inline]] inline void copy_lines(const Columns& c, std::int64_t stride, std::int64_t lines,
                                              std::int64_t pitch, float* to) {
  for (std::int64_t line = 0; line < lines; ++line) {
    for (std::int64_t x = (line - c.at % stride + stride) % stride; x < c.count; x += stride) {
      to[line * pitch + (c.at + x) / stride] = c.in[x];
    }
  }
}

/// Fills `to`, which has room for `padded.channel()`, from the image of one channel. It holds zeros or another channel
/// before: what lies in the padding is not written. Rows and lines under no tap are left out. No input is read at `end`
/// or behind it.
[[gnu::always_inline]] inline void fill(const Problem& p, const float* image, const float* end, const Padded& padded,
                                        float* to) {
  const Windows& w = p.windows;
  const auto reach = [&](std::size_t axis) { return (p.kernel[axis] - 1) * w.dilation[axis] + 1; };
  const std::int64_t left = padded.first[2];
  const std::int64_t from = std::clamp(left, std::int64_t{0}, p.in[2]);
  const std::int64_t last = std::clamp(left + padded.strides * padded.extent[2], from, p.in[2]);
  for (std::int64_t depth = 0; depth < padded.extent[0]; ++depth) {
    const std::int64_t d = padded.first[0] + depth;
    if (d < 0 || d >= p.in[0] || depth % w.stride[0] >= reach(0)) continue;
    const std::int64_t top = padded.first[1];
    const std::int64_t bottom = std::min(padded.extent[1], p.in[1] - top);
    for (std::int64_t height = std::max(-top, std::int64_t{0}); height < bottom; ++height) {
      if (w.stride[1] > 1 && height % w.stride[1] >= reach(1)) continue;
      const Columns columns = {image + (d * p.in[1] + top + height) * p.in[2] + from, from - left, last - from, end};
      float* row = to + (depth * padded.extent[1] + height) * padded.row_pitch();
      if (padded.strides == 1) {
        copy_row(columns, row);
      } else if (padded.strides == 2) {
        copy_halves(columns, padded.pitch, row);
      } else {
        copy_lines(columns, padded.strides, std::min(padded.strides, reach(2)), padded.pitch, row);
      }
    }
  }
}

}  // namespace cosoc::dense
