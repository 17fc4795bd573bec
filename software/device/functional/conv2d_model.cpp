#include "device/functional/conv2d_model.hpp"

#include <algorithm>
#include <cstring>

#include "device/cycles.hpp"
#include "kernels/arithmetic.hpp"
#include "kernels/tensor.hpp"

namespace cosoc {
namespace {

constexpr std::size_t channel_bytes = 8;
constexpr auto accumulate_flag = static_cast<std::uint32_t>(conv2d::Conv2DFlag::accumulate);
constexpr auto partial_flag = static_cast<std::uint32_t>(conv2d::Conv2DFlag::partial);

bool stores(const conv2d::Command& command) { return (command.flags & partial_flag) == 0; }

std::size_t pixels_of(const conv2d::Command& command) { return std::size_t{command.out_rows} * command.out_columns; }

std::size_t steps_of(const conv2d::Command& command) {
  return std::size_t{command.kernel_height} * command.kernel_width * command.in_words;
}

bool aligned(const conv2d::Command& command) {
  std::uint64_t bits = command.in_address | command.in_row_pitch | command.in_pixel_pitch | command.weight_address |
                       command.channel_address;
  if (stores(command)) bits |= command.out_address | command.out_row_pitch | command.out_pixel_pitch;
  return bits % 16 == 0;
}

}  // namespace

Conv2DModel::Conv2DModel(const conv2d::Config& config)
    : config_(config), partial_(std::size_t{config.partial_pixels} * config.output_lanes, 0) {}

ErrorCode Conv2DModel::check(const conv2d::Command& command) const {
  if (command.opcode != static_cast<std::uint32_t>(conv2d::Conv2DOperation::convolve)) return ErrorCode::bad_opcode;
  if (!aligned(command)) return ErrorCode::misaligned;
  const bool window = command.kernel_height != 0 && command.kernel_width != 0 && command.stride_height != 0 &&
                      command.stride_width != 0;
  if (!window || (command.flags & ~(accumulate_flag | partial_flag)) != 0) return ErrorCode::bad_parameter;
  if (stores(command) && command.clamp_min > command.clamp_max) return ErrorCode::bad_parameter;
  const bool sizes = command.in_rows != 0 && command.in_columns != 0 && command.in_words != 0 &&
                     command.out_blocks != 0 && command.out_rows != 0 && command.out_columns != 0;
  if (!sizes || (stores(command) && command.out_words == 0)) return ErrorCode::bad_length;

  const std::size_t pixels = pixels_of(command);
  const std::size_t block_words =
      (std::size_t{command.out_blocks} * config_.output_lanes + word_channels - 1) / word_channels;
  const bool fits =
      std::size_t{command.in_rows} * command.in_columns * command.in_words <= config_.activation_words &&
      steps_of(command) <= config_.weight_steps &&
      (!stores(command) || (pixels * command.out_words <= config_.output_words && command.out_words <= block_words)) &&
      (command.flags == 0 || pixels * command.out_blocks <= config_.partial_pixels);
  return fits ? ErrorCode::none : ErrorCode::bad_length;
}

Execution Conv2DModel::execute(const CommandWords& words, CommandMemory& memory) {
  const auto command = conv2d::Command::decode(words);
  if (const ErrorCode error = check(command); error != ErrorCode::none) return {error, refused_cycles, refused_cycles};
  if (load_tile(command, memory) && load_weights(command, memory)) {
    convolve(command);
    if ((command.flags & accumulate_flag) != 0) accumulate(command);
    if (stores(command)) {
      store(command, memory);
    } else {
      keep_partial(command);
    }
  }
  return {ErrorCode::none, conv2d::command_cycles(config_, command), conv2d::queued_cycles(config_, command)};
}

bool Conv2DModel::load_tile(const conv2d::Command& command, CommandMemory& memory) {
  const std::size_t pixel_bytes = std::size_t{command.in_words} * word_channels;
  tile_.resize(std::size_t{command.in_rows} * command.in_columns * pixel_bytes);
  auto* out = tile_.data();
  for (std::uint64_t row = 0; row < command.in_rows; ++row) {
    for (std::uint64_t column = 0; column < command.in_columns; ++column, out += pixel_bytes) {
      const auto pixel =
          memory.read(command.in_address + row * command.in_row_pitch + column * command.in_pixel_pitch, pixel_bytes);
      if (pixel.empty()) return false;
      std::memcpy(out, pixel.data(), pixel_bytes);
    }
  }
  return true;
}

bool Conv2DModel::load_weights(const conv2d::Command& command, CommandMemory& memory) {
  const std::size_t steps = steps_of(command);
  const std::size_t length = steps * word_channels;
  const std::size_t lanes = config_.output_lanes;
  const auto bytes = memory.read(command.weight_address, command.out_blocks * lanes * length);
  if (bytes.empty()) return false;
  weights_.resize(bytes.size());
  const auto* in = reinterpret_cast<const std::int8_t*>(bytes.data());
  for (std::size_t block = 0; block < command.out_blocks; ++block) {
    for (std::size_t step = 0; step < steps; ++step) {
      for (std::size_t lane = 0; lane < lanes; ++lane, in += word_channels) {
        std::copy_n(in, word_channels, weights_.data() + (block * lanes + lane) * length + step * word_channels);
      }
    }
  }
  return true;
}

void Conv2DModel::convolve(const conv2d::Command& command) {
  const std::size_t pixels = pixels_of(command);
  const std::size_t length = steps_of(command) * word_channels;
  const std::size_t channels = std::size_t{command.out_blocks} * config_.output_lanes;
  const std::size_t pixel_bytes = std::size_t{command.in_words} * word_channels;
  const PixelSource source{.data = tile_.data(),
                           .rows = command.in_rows,
                           .columns = command.in_columns,
                           .row_pitch = pixel_bytes * command.in_columns,
                           .pixel_pitch = pixel_bytes,
                           .channels = pixel_bytes,
                           .zero_point = command.in_zero_point};
  const Window window{.kernel = {command.kernel_height, command.kernel_width},
                      .stride = {command.stride_height, command.stride_width},
                      .padding = {command.pad_top, command.pad_left, 0, 0}};
  constexpr std::size_t batch = 32;
  std::vector<std::int16_t> patches(std::min(batch, pixels) * length);
  sums_.resize(pixels * channels);
  for (std::size_t first = 0; first < pixels; first += batch) {
    const std::size_t count = std::min(batch, pixels - first);
    for (std::size_t i = 0; i < count; ++i) {
      const auto pixel = static_cast<std::int64_t>(first + i);
      gather_patch(source, window, pixel / command.out_columns, pixel % command.out_columns,
                   std::span(patches).subspan(i * length, length));
    }
    multiply_patches(patches.data(), count, weights_.data(), channels, length, sums_.data() + first * channels);
  }
}

void Conv2DModel::accumulate(const conv2d::Command& command) {
  const std::size_t pixels = pixels_of(command);
  const std::size_t lanes = config_.output_lanes;
  for (std::size_t block = 0; block < command.out_blocks; ++block) {
    for (std::size_t pixel = 0; pixel < pixels; ++pixel) {
      const std::int32_t* kept = partial_.data() + (block * pixels + pixel) * lanes;
      std::int32_t* sums = sums_.data() + (pixel * command.out_blocks + block) * lanes;
      for (std::size_t lane = 0; lane < lanes; ++lane) sums[lane] = wrapping_add(sums[lane], kept[lane]);
    }
  }
}

void Conv2DModel::keep_partial(const conv2d::Command& command) {
  const std::size_t pixels = pixels_of(command);
  const std::size_t lanes = config_.output_lanes;
  for (std::size_t block = 0; block < command.out_blocks; ++block) {
    for (std::size_t pixel = 0; pixel < pixels; ++pixel) {
      std::copy_n(sums_.data() + (pixel * command.out_blocks + block) * lanes, lanes,
                  partial_.data() + (block * pixels + pixel) * lanes);
    }
  }
}

void Conv2DModel::store(const conv2d::Command& command, CommandMemory& memory) const {
  struct ChannelParameters {
    std::int32_t bias;
    float multiplier;
  };
  static_assert(sizeof(ChannelParameters) == channel_bytes);
  const std::size_t channels = std::size_t{command.out_blocks} * config_.output_lanes;
  const auto bytes = memory.read(command.channel_address, channels * channel_bytes);
  if (bytes.empty()) return;
  std::vector<ChannelParameters> parameters(channels);
  std::memcpy(parameters.data(), bytes.data(), bytes.size());

  const std::size_t stored = std::size_t{command.out_words} * word_channels;
  const std::size_t computed = std::min(stored, channels);
  std::vector<std::int8_t> values(stored, 0);  // words above the last block are zero
  const std::int32_t* sums = sums_.data();
  for (std::uint64_t row = 0; row < command.out_rows; ++row) {
    for (std::uint64_t column = 0; column < command.out_columns; ++column, sums += channels) {
      for (std::size_t channel = 0; channel < computed; ++channel) {
        values[channel] =
            requantize(wrapping_add(sums[channel], parameters[channel].bias), parameters[channel].multiplier,
                       command.out_zero_point, {command.clamp_min, command.clamp_max});
      }
      const auto target =
          memory.write(command.out_address + row * command.out_row_pitch + column * command.out_pixel_pitch, stored);
      if (target.empty()) return;
      std::memcpy(target.data(), values.data(), stored);
    }
  }
}

}  // namespace cosoc
