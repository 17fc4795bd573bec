/// COMPUTE of the Conv2D engine's machine.
#include <algorithm>
#include <cstring>

#include "drivers/conv2d/machine.hpp"
#include "kernels/arithmetic.hpp"
#include "kernels/patches.hpp"

namespace cosoc::conv2d {
namespace {

/// Pixels whose operands are multiplied together: a multiple of every number of pixel lanes.
constexpr std::size_t batch = 32;

/// Words of the reduction that are multiplied together, so that sums of their products fit int32: 4,096 products of
/// int8, or 496 products of int16 and int8.
constexpr std::size_t section_words(std::size_t activation_bytes) { return activation_bytes == 1 ? 256 : 62; }

/// Addition as accumulators of `bits` bits do it.
constexpr std::int64_t wrapping_sum(std::int64_t a, std::int64_t b, int bits) {
  const std::uint64_t sum = static_cast<std::uint64_t>(a) + static_cast<std::uint64_t>(b);
  return static_cast<std::int64_t>(sum << (64 - bits)) >> (64 - bits);
}

template <class Activation>
void widen(const std::int8_t* word, std::int16_t* out) {
  constexpr std::size_t channels = word_bytes / sizeof(Activation);
  std::array<Activation, channels> values;
  std::memcpy(values.data(), word, word_bytes);
  std::copy(values.begin(), values.end(), out);
}

}  // namespace

void Machine::execute(const isa::Compute& compute) {
  const PixelWalk walk(config_, geometry_, output_, compute);
  const std::vector<OperandWord> words = operand_words(compute);
  for (std::uint32_t block = 0; block < compute.blocks; ++block) {
    if (geometry_.window != 0) {
      multiply_windows(compute, walk, words, block);
    } else {
      multiply(compute, walk, words, block);
      accumulate(compute.accumulate != 0);
    }
    if (compute.keep != 0) continue;
    if (extents_.activation_bytes == 1) {
      write_results<std::int8_t>(compute, walk, block);
    } else {
      write_results<std::int16_t>(compute, walk, block);
    }
  }
}

std::vector<Machine::OperandWord> Machine::operand_words(const isa::Compute& compute) const {
  std::vector<OperandWord> words;
  for (std::size_t i = 0; i < compute.micro_count; ++i) {
    const MicroOperation& operation = micro_[(compute.micro_address + i) % micro_.size()];
    for (std::uint32_t word = 0; word < std::max<std::uint32_t>(operation.words, 1); ++word) {
      words.push_back({.offset = static_cast<std::uint32_t>(operation.offset) + word * geometry_.plane_pitch,
                       .row = operation.row,
                       .column = operation.column});
    }
  }
  return words;
}

void Machine::multiply(const isa::Compute& compute, const PixelWalk& walk, std::span<const OperandWord> words,
                       std::uint32_t block) {
  const std::size_t lanes = config_.output_lanes;
  const std::size_t pixels = std::size_t{walk.groups()} * config_.pixel_lanes;
  const std::size_t section = section_words(extents_.activation_bytes);
  sums_.assign(pixels * lanes, 0);
  for (std::size_t first = 0; first < words.size(); first += section) {
    const auto part = words.subspan(first, std::min(section, words.size() - first));
    gather_weights(compute.weight_address + (block * words.size() + first) * extents_.word_steps, part.size());
    const std::size_t length = weight_rows_.size() / lanes;
    operand_rows_.assign(batch * length, 0);
    products_.resize(batch * lanes);
    for (std::size_t pixel = 0; pixel < pixels; pixel += batch) {
      const std::size_t count = std::min(batch, pixels - pixel);
      for (std::size_t i = 0; i < count; ++i) {
        gather_operands(walk, part, block * compute.block_step, static_cast<std::uint32_t>(pixel + i),
                        pixel + i < compute.pixels, operand_rows_.data() + i * length);
      }
      multiply_patches(operand_rows_.data(), count, weight_rows_.data(), lanes, length, products_.data());
      std::int64_t* sums = sums_.data() + pixel * lanes;
      for (std::size_t i = 0; i < count * lanes; ++i) sums[i] += products_[i];
    }
  }
}

void Machine::multiply_windows(const isa::Compute& compute, const PixelWalk& walk, std::span<const OperandWord> words,
                               std::uint32_t block) {
  const std::size_t lanes = config_.output_lanes;
  const std::size_t channels = extents_.word_channels;
  const std::size_t first_channel = (compute.out_part + block) % extents_.word_parts * lanes;
  const std::int64_t zero_point =
      extents_.activation_bytes == 1 ? static_cast<std::int8_t>(geometry_.zero_point) : geometry_.zero_point;
  sums_.assign(compute.pixels * lanes, 0);
  operand_rows_.resize(compute.pixels * channels);
  for (std::size_t step = 0; step < words.size(); ++step) {
    const std::size_t place = (compute.weight_address + block * words.size() + step) % config_.weight_steps;
    const std::int8_t* weights = weights_.data() + place * extents_.step_bytes;
    for (std::uint32_t pixel = 0; pixel < compute.pixels; ++pixel) {
      gather_operands(walk, words.subspan(step, 1), block * compute.block_step, pixel, true,
                      operand_rows_.data() + pixel * channels);
    }
    for (std::uint32_t pixel = 0; pixel < compute.pixels; ++pixel) {
      const Pixel position = walk.at(pixel);
      for (std::size_t input = 0; input < config_.input_lanes; ++input) {
        const std::int32_t column = position.column - 1 + static_cast<std::int32_t>(input);
        const std::size_t neighbour = pixel + input - 1;  // of pixel 0 the one before is no pixel
        const bool inside = static_cast<std::uint32_t>(column) < geometry_.columns && neighbour < compute.pixels;
        const std::int16_t* word = operand_rows_.data() + (inside ? neighbour * channels + first_channel : 0);
        for (std::size_t lane = 0; lane < lanes; ++lane) {
          const std::int64_t operand = input >= window_taps ? unspecified : inside ? word[lane] : zero_point;
          sums_[pixel * lanes + lane] += operand * weights[lane * config_.input_lanes + input];
        }
      }
    }
  }
  std::fill(accumulators_.begin(), accumulators_.end(), unspecified);
}

void Machine::gather_weights(std::size_t first_step, std::size_t words) {
  const std::size_t lanes = config_.output_lanes;
  const std::size_t inputs = config_.input_lanes;
  const std::size_t length = padded_patch_length(words * extents_.word_channels);
  weight_rows_.assign(lanes * length, 0);
  for (std::size_t step = 0; step < words * extents_.word_steps; ++step) {
    const std::int8_t* weights = weights_.data() + (first_step + step) % config_.weight_steps * extents_.step_bytes;
    for (std::size_t lane = 0; lane < lanes; ++lane) {
      std::copy_n(weights + lane * inputs, inputs, weight_rows_.data() + lane * length + step * inputs);
    }
  }
}

void Machine::gather_operands(const PixelWalk& walk, std::span<const OperandWord> words, std::uint32_t block_offset,
                              std::uint32_t pixel, bool has_pixel, std::int16_t* out) const {
  const Pixel position = walk.at(pixel);
  const bool narrow = extents_.activation_bytes == 1;
  const auto zero_point = narrow ? static_cast<std::int8_t>(geometry_.zero_point) : geometry_.zero_point;
  for (const OperandWord& word : words) {
    if (!has_pixel || !walk.inside(position, word.row, word.column)) {
      std::fill_n(out, extents_.word_channels, zero_point);
    } else if (const std::int8_t* data = feature(position.address + block_offset + word.offset).data(); narrow) {
      widen<std::int8_t>(data, out);
    } else {
      widen<std::int16_t>(data, out);
    }
    out += extents_.word_channels;
  }
}

/// Adds what the accumulators hold, group after group, and leaves the last group's sums in them.
void Machine::accumulate(bool from_kept) {
  for (std::size_t first = 0; first < sums_.size(); first += accumulators_.size()) {
    for (std::size_t i = 0; i < accumulators_.size(); ++i) {
      std::int64_t& sum = sums_[first + i];
      sum = wrapping_sum(sum, from_kept ? accumulators_[i] : 0, extents_.accumulator_bits);
    }
    if (from_kept || first + accumulators_.size() == sums_.size()) {
      std::copy_n(sums_.begin() + static_cast<std::ptrdiff_t>(first), accumulators_.size(), accumulators_.begin());
    }
  }
}

template <class Activation>
void Machine::write_results(const isa::Compute& compute, const PixelWalk& walk, std::uint32_t block) {
  const std::size_t lanes = config_.output_lanes;
  const std::uint32_t part = compute.out_part + block;
  const auto parts = static_cast<std::uint32_t>(extents_.word_parts);
  const std::uint32_t plane_offset = part / parts * output_.plane_pitch;
  const std::size_t first_byte = part % parts * lanes * sizeof(Activation);
  const std::uint32_t residual_offset = std::uint32_t{compute.residual_address} - compute.out_address;
  const auto residual_zero_point = static_cast<Activation>(output_.residual_zero_point);
  const std::array<std::int16_t, 2> clamp = {static_cast<Activation>(output_.clamp_min),
                                             static_cast<Activation>(output_.clamp_max)};
  const ChannelParameters* channels =
      channels_.data() + (compute.channel_address + block) % config_.channel_blocks * lanes;
  std::array<Activation, word_bytes> residuals{};
  std::array<Activation, word_bytes> results{};
  for (std::uint32_t pixel = 0; pixel < compute.pixels; ++pixel) {
    const std::uint32_t address = walk.at(pixel).out_address + plane_offset;
    if (output_.residual != 0) {
      std::memcpy(residuals.data(), feature(address + residual_offset).data() + first_byte, lanes * sizeof(Activation));
    }
    for (std::size_t lane = 0; lane < lanes; ++lane) {
      const std::int64_t sum =
          wrapping_sum(sums_[pixel * lanes + lane], channels[lane].bias, extents_.accumulator_bits);
      const std::int64_t residual =
          output_.residual == 0 ? 0 : std::int64_t{residuals[lane] - residual_zero_point} * output_.residual_multiplier;
      results[lane] = requantize_with_residual<Activation>(sum, channels[lane].multiplier, residual,
                                                           static_cast<Activation>(output_.zero_point), clamp);
    }
    std::memcpy(feature(address).data() + first_byte, results.data(), lanes * sizeof(Activation));
  }
}

}  // namespace cosoc::conv2d
