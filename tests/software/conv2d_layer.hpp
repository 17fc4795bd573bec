/// A convolution layer as the plainest program of the Conv2D engine.
#pragma once

#include <bit>
#include <cmath>
#include <random>

#include "software/conv2d_programs.hpp"

namespace cosoc::conv2d::test {

/// A layer and its data. Values are int32 whatever the width of activations; channels are innermost.
struct Layer {
  std::int32_t rows = 5, columns = 6, in_channels = 7, out_channels = 9;
  std::array<std::int32_t, 2> kernel = {3, 3}, stride = {1, 1}, dilation = {1, 1};
  std::array<std::int32_t, 4> padding = {1, 1, 1, 1};  // top, left, bottom, right
  std::int32_t in_zero_point = 0, out_zero_point = 0, clamp_min = -128, clamp_max = 127;
  std::uint32_t residual_multiplier = 0;  // no residual
  std::int32_t residual_zero_point = 0;

  std::vector<std::int32_t> input = {}, weight = {}, residual = {};  // weight: [out][ky][kx][in]
  std::vector<std::int64_t> bias = {};
  std::vector<float> multiplier = {};

  std::int32_t out_extent(std::size_t axis) const {
    const std::int32_t extent = axis == 0 ? rows : columns;
    return (extent + padding[axis] + padding[axis + 2] - dilation[axis] * (kernel[axis] - 1) - 1) / stride[axis] + 1;
  }
  std::int32_t out_pixels() const { return out_extent(0) * out_extent(1); }

  /// Random data; the multipliers bring most sums into the range of the output.
  void fill(std::uint32_t seed, int bits) {
    std::mt19937 random(seed);
    const auto draw = [&](std::int32_t low, std::int32_t high) {
      return std::uniform_int_distribution<std::int32_t>(low, high)(random);
    };
    const auto values = [&](std::int32_t count, int width) {
      std::vector<std::int32_t> result(static_cast<std::size_t>(count));
      for (auto& value : result) value = draw(-(1 << (width - 1)), (1 << (width - 1)) - 1);
      return result;
    };
    const std::int32_t products = kernel[0] * kernel[1] * in_channels;
    input = values(rows * columns * in_channels, bits);
    weight = values(out_channels * products, 8);
    residual = values(out_pixels() * out_channels, bits);
    for (std::int32_t i = 0; i < out_channels; ++i) {
      bias.push_back(std::int64_t{draw(-3000, 3000)} * static_cast<std::int64_t>(std::sqrt(products)));
      multiplier.push_back(1.0F / (70.0F * std::sqrt(static_cast<float>(products)) + static_cast<float>(draw(0, 40))));
    }
  }

  std::int32_t input_at(std::int32_t y, std::int32_t x, std::int32_t channel) const {
    if (y < 0 || y >= rows || x < 0 || x >= columns) return in_zero_point;
    const std::int32_t index = (y * columns + x) * in_channels + channel;
    return input[static_cast<std::size_t>(index)];
  }
  /// The sum of a result without its bias.
  std::int64_t sum_at(std::int32_t y, std::int32_t x, std::int32_t channel) const {
    std::int64_t sum = 0;
    const std::int32_t* w = weight.data() + channel * kernel[0] * kernel[1] * in_channels;
    for (std::int32_t ky = 0; ky < kernel[0]; ++ky) {
      for (std::int32_t kx = 0; kx < kernel[1]; ++kx) {
        for (std::int32_t c = 0; c < in_channels; ++c) {
          sum += std::int64_t{*w++} * input_at(y * stride[0] - padding[0] + ky * dilation[0],
                                               x * stride[1] - padding[1] + kx * dilation[1], c);
        }
      }
    }
    return sum;
  }
};

/// A layer as one band, one COMPUTE and one STORE, with just the waits that it needs. Bases: 0 input, 1 output, 2
/// weights, 3 channel parameters, 4 residual.
class LayerProgram {
 public:
  // Places of instructions in the program.
  enum Index : std::size_t { load, residual_load, weights, channels, geometry, output, micro };

  LayerProgram(const Layer& layer, const Config& config) : layer_(layer), config_(config), extents_(config) {
    const auto whole = [](std::size_t count, std::size_t unit) { return (count + unit - 1) / unit; };
    blocks_ = whole(static_cast<std::size_t>(layer.out_channels), config.output_lanes);
    in_words_ = whole(static_cast<std::size_t>(layer.in_channels), extents_.word_channels);
    out_words_ = whole(blocks_, extents_.word_parts);
    steps_ = static_cast<std::size_t>(layer.kernel[0] * layer.kernel[1]) * in_words_ * extents_.word_steps;
    make();
  }

  Program program;
  std::size_t compute = 0, store = 0;  // places of these instructions

  void put_data(Engine& engine) const {
    const auto value = [](const std::vector<std::int32_t>& values, std::size_t i) { return values[i]; };
    const auto in_channels = static_cast<std::size_t>(layer_.in_channels);
    const auto out_channels = static_cast<std::size_t>(layer_.out_channels);
    for (std::size_t i = 0; i < layer_.input.size(); ++i) {
      put(engine.at(0), in_words_, extents_, i / in_channels, i % in_channels, value(layer_.input, i));
    }
    for (std::size_t i = 0; i < layer_.residual.size(); ++i) {
      put(engine.at(4), out_words_, extents_, i / out_channels, i % out_channels, value(layer_.residual, i));
    }
    for (std::size_t i = 0; i < layer_.weight.size(); ++i) {
      const std::size_t out = i / in_channels / taps();
      const std::size_t in = i % in_channels;
      const std::size_t word = i / in_channels % taps() * in_words_ + in / extents_.word_channels;
      const std::size_t step = out / config_.output_lanes * steps_ + word * extents_.word_steps +
                               in % extents_.word_channels / config_.input_lanes;
      put_weight(engine.at(2), config_, blocks_ * steps_, step, out % config_.output_lanes, in % config_.input_lanes,
                 value(layer_.weight, i));
    }
    for (std::size_t i = 0; i < out_channels; ++i) {
      put_channel(engine.at(3), extents_, i, layer_.bias[i], layer_.multiplier[i]);
    }
  }

  std::int32_t result(Engine& engine, std::int32_t pixel, std::int32_t channel) const {
    return get(engine.at(1), out_words_, extents_, static_cast<std::size_t>(pixel), static_cast<std::size_t>(channel));
  }

 private:
  std::size_t taps() const {
    const std::int32_t count = layer_.kernel[0] * layer_.kernel[1];
    return static_cast<std::size_t>(count);
  }

  template <class Tile>
  static Tile tile(std::size_t base, std::size_t rows, std::size_t columns, std::size_t words, std::size_t address) {
    Tile result;
    result.base = static_cast<std::uint8_t>(base);
    result.rows = static_cast<std::uint16_t>(rows);
    result.columns = static_cast<std::uint16_t>(columns);
    result.words = static_cast<std::uint8_t>(words);
    result.row_pitch = static_cast<std::uint32_t>(columns * words);
    result.pixel_pitch = static_cast<std::uint16_t>(words);
    result.address = static_cast<std::uint16_t>(address);
    result.address_row_pitch = static_cast<std::uint16_t>(columns);
    result.address_plane_pitch = static_cast<std::uint16_t>(rows * columns);
    return result;
  }

  void make() {
    const auto rows = static_cast<std::size_t>(layer_.rows), columns = static_cast<std::size_t>(layer_.columns);
    const auto out_rows = static_cast<std::size_t>(layer_.out_extent(0));
    const auto out_columns = static_cast<std::size_t>(layer_.out_extent(1));
    const std::size_t out_address = rows * columns * in_words_;
    program.add(tile<isa::Load>(0, rows, columns, in_words_, 0));
    program.add(tile<isa::Load>(4, out_rows, out_columns, out_words_, out_address));
    program.add(isa::Weights{.base = 2, .steps = static_cast<std::uint16_t>(blocks_ * steps_)});
    program.add(isa::Channels{.base = 3, .blocks = static_cast<std::uint16_t>(blocks_)});
    add_settings(out_columns, out_rows);
    const std::size_t count = add_micro();
    compute = program.count();
    program.add(
        isa::Compute{.wait_load = 0,
                     .wait_weights = 0,
                     .in_address = static_cast<std::uint16_t>(-layer_.padding[0] * layer_.columns - layer_.padding[1]),
                     .in_row = static_cast<std::int16_t>(-layer_.padding[0]),
                     .in_column = static_cast<std::int16_t>(-layer_.padding[1]),
                     .out_address = static_cast<std::uint16_t>(out_address),
                     .residual_address = static_cast<std::uint16_t>(out_address),
                     .pixels = static_cast<std::uint32_t>(layer_.out_pixels()),
                     .blocks = static_cast<std::uint8_t>(blocks_),
                     .micro_count = static_cast<std::uint16_t>(count)});
    store = program.count();
    auto result = tile<isa::Store>(1, out_rows, out_columns, out_words_, out_address);
    result.wait_compute = 0;
    result.window_rows = result.window_columns = 1;
    result.stride_rows = result.stride_columns = 1;
    result.in_rows = static_cast<std::uint16_t>(out_rows);
    result.in_columns = static_cast<std::uint16_t>(out_columns);
    program.add(result);
  }

  void add_settings(std::size_t out_columns, std::size_t out_rows) {
    const auto lanes = config_.pixel_lanes;
    program.add(
        isa::Geometry{.rows = static_cast<std::uint16_t>(layer_.rows),
                      .columns = static_cast<std::uint16_t>(layer_.columns),
                      .plane_pitch = static_cast<std::uint16_t>(layer_.rows * layer_.columns),
                      .zero_point = static_cast<std::int16_t>(layer_.in_zero_point),
                      .stride_rows = static_cast<std::uint8_t>(layer_.stride[0]),
                      .stride_columns = static_cast<std::uint8_t>(layer_.stride[1]),
                      .out_columns = static_cast<std::uint16_t>(out_columns),
                      .group_rows = static_cast<std::uint8_t>(lanes / out_columns),
                      .group_columns = static_cast<std::uint8_t>(lanes % out_columns),
                      .group_step = static_cast<std::int16_t>(lanes * static_cast<std::uint32_t>(layer_.stride[1])),
                      .row_step = static_cast<std::int16_t>(layer_.stride[0] * layer_.columns -
                                                            static_cast<std::int32_t>(out_columns) * layer_.stride[1]),
                      .phases_log2 = static_cast<std::uint8_t>(std::countr_zero(lanes))});
    program.add(isa::Output{.plane_pitch = static_cast<std::uint16_t>(out_rows * out_columns),
                            .group_step = static_cast<std::int16_t>(lanes),
                            .zero_point = static_cast<std::int16_t>(layer_.out_zero_point),
                            .clamp_min = static_cast<std::int16_t>(layer_.clamp_min),
                            .clamp_max = static_cast<std::int16_t>(layer_.clamp_max),
                            .residual = static_cast<std::uint8_t>(layer_.residual_multiplier != 0),
                            .residual_zero_point = static_cast<std::int16_t>(layer_.residual_zero_point),
                            .residual_multiplier = layer_.residual_multiplier});
  }

  /// One micro-operation for each tap, one in each instruction.
  std::size_t add_micro() {
    std::uint16_t entry = 0;
    for (std::int32_t ky = 0; ky < layer_.kernel[0]; ++ky) {
      for (std::int32_t kx = 0; kx < layer_.kernel[1]; ++kx) {
        const std::int32_t row = ky * layer_.dilation[0], column = kx * layer_.dilation[1];
        program.add(isa::Micro{.address = entry++,
                               .count = 1,
                               .offset0 = static_cast<std::int16_t>(row * layer_.columns + column),
                               .row0 = static_cast<std::int8_t>(row),
                               .column0 = static_cast<std::int8_t>(column),
                               .words0 = static_cast<std::uint8_t>(in_words_)});
      }
    }
    return entry;
  }

  Layer layer_;
  Config config_;
  Extents extents_;
  std::size_t blocks_ = 0, in_words_ = 0, out_words_ = 0, steps_ = 0;
};

}  // namespace cosoc::conv2d::test
