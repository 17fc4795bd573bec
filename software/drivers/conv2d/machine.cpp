#include "drivers/conv2d/machine.hpp"

#include <algorithm>
#include <cstring>

namespace cosoc::conv2d {
namespace {

/// Instructions of a transfer, but for the last one of a command.
constexpr std::uint32_t fetched_at_once = 64;

constexpr std::uint64_t wrapped(std::uint64_t address, std::uint64_t size) { return address % size; }

}  // namespace

Machine::Machine(const Config& config)
    : config_(config),
      extents_(config),
      features_(config.feature_words),
      weights_(config.weight_steps * extents_.step_bytes, unspecified),
      channels_(std::size_t{config.channel_blocks} * config.output_lanes),
      micro_(isa::micro_operations),
      accumulators_(std::size_t{config.pixel_lanes} * config.output_lanes, unspecified) {
  for (Word& word : features_) word.fill(unspecified);
}

ErrorCode Machine::refusal(const Command& command) const {
  if (command.opcode != static_cast<std::uint32_t>(Conv2DOperation::run)) return ErrorCode::bad_opcode;
  std::uint64_t addresses = command.instruction_address;
  for (std::size_t i = 0; i < 8; ++i) addresses |= base_of(command, i);
  if (addresses % word_bytes != 0) return ErrorCode::misaligned;
  return command.instruction_count == 0 ? ErrorCode::bad_length : ErrorCode::none;
}

ErrorCode Machine::run(const Command& command, CommandMemory& memory) {
  executed_.clear();
  if (const ErrorCode error = refusal(command); error != ErrorCode::none) return error;
  command_ = command;
  memory_ = &memory;
  for (std::uint32_t first = 0; first < command.instruction_count;) {
    const std::vector<std::uint32_t> words = fetch(command, first, memory);
    for (std::size_t at = 0; at < words.size(); at += isa::instruction_words) {
      const auto instruction = decode(config_, std::span(words).subspan(at).first<isa::instruction_words>());
      if (!instruction) return instruction.error();
      std::visit([&](const auto& fields) { execute(fields); }, *instruction);
      executed_.insert(executed_.end(), words.begin() + static_cast<std::ptrdiff_t>(at),
                       words.begin() + static_cast<std::ptrdiff_t>(at + isa::instruction_words));
    }
    first += static_cast<std::uint32_t>(words.size() / isa::instruction_words);
  }
  return ErrorCode::none;
}

std::vector<std::uint32_t> Machine::fetch(const Command& command, std::uint32_t first, CommandMemory& memory) const {
  const std::size_t count = std::min(fetched_at_once, command.instruction_count - first);
  std::vector<std::uint32_t> words(count * isa::instruction_words);
  const auto bytes = memory.read(command.instruction_address + std::uint64_t{first} * isa::instruction_bytes,
                                 count * isa::instruction_bytes);
  if (!bytes.empty()) std::memcpy(words.data(), bytes.data(), bytes.size());
  return words;
}

std::span<const std::int8_t> Machine::read(std::uint64_t address, std::uint64_t size) {
  transfer_.assign(size, 0);
  const auto bytes = memory_->read(address, size);
  if (!bytes.empty()) std::memcpy(transfer_.data(), bytes.data(), size);
  return transfer_;
}

void Machine::execute(const isa::Load& load) {
  if (load.fold_channels != 0) return load_folded(load);
  for_each_transfer(load, base_of(command_, load.base),
                    [&](std::uint64_t address, std::uint64_t bytes, std::uint32_t row, std::uint32_t first_column,
                        std::uint32_t columns) {
                      const std::int8_t* word = read(address, bytes).data();
                      const std::uint32_t target = load.address + row * load.address_row_pitch + first_column;
                      for (std::uint32_t column = 0; column < columns; ++column) {
                        for (std::uint32_t plane = 0; plane < load.words; ++plane, word += word_bytes) {
                          std::copy_n(word, word_bytes,
                                      feature(target + column + plane * load.address_plane_pitch).data());
                        }
                      }
                    });
}

void Machine::load_folded(const isa::Load& load) {
  const FoldedWords folded(extents_, load);
  const std::size_t pixel_bytes = load.fold_channels * extents_.activation_bytes;
  // The rows as sequences of pixels with the padding around them; a padding pixel has the zero point in every channel.
  const std::size_t row_bytes = (std::size_t{load.fold_left} + load.columns + load.fold_right) * pixel_bytes;
  std::vector<std::int8_t> rows(load.rows * row_bytes);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    rows[i] = static_cast<std::int8_t>(load.zero_point >> 8 * (i % extents_.activation_bytes));
  }
  for_each_transfer(load, base_of(command_, load.base),
                    [&](std::uint64_t address, std::uint64_t bytes, std::uint32_t row, std::uint32_t first_column,
                        std::uint32_t columns) {
                      const std::int8_t* pixel = read(address, bytes).data();  // what is not used is read all the same
                      if (load.fold_blank != 0) return;
                      std::int8_t* out = rows.data() + row * row_bytes + (load.fold_left + first_column) * pixel_bytes;
                      for (std::uint32_t column = 0; column < columns; ++column, pixel += word_bytes) {
                        out = std::copy_n(pixel, pixel_bytes, out);
                      }
                    });
  const auto write = [&](std::uint32_t address, const WrittenBytes& written, const std::int8_t* values) {
    std::copy(values + written.begin, values + written.end,
              feature(address).begin() + static_cast<std::ptrdiff_t>(written.begin));
  };
  for (std::uint32_t row = 0; row < load.rows; ++row) {
    for (std::uint32_t k = 0; k < folded.words; ++k) {
      const std::int8_t* values = rows.data() + row * row_bytes + k * load.fold_stride * pixel_bytes;
      const std::uint32_t address = load.address + row * load.address_row_pitch + k;
      write(address, folded.of_word, values + load.fold_skip * extents_.activation_bytes);
      if (k >= folded.twins) continue;
      write(address + static_cast<std::uint32_t>(load.twin_offset), folded.of_twin,
            values + load.twin * pixel_bytes + load.twin_skip * extents_.activation_bytes);
    }
  }
}

void Machine::execute(const isa::Weights& weights) {
  const std::size_t part = extents_.step_bytes / config_.memory_ports;  // of a step, at one port
  const std::uint64_t address = base_of(command_, weights.base) + word_bytes * std::uint64_t{weights.offset};
  for (std::size_t port = 0; port < config_.memory_ports; ++port) {
    const std::int8_t* bytes = read(address + port * weights.steps * part, weights.steps * part).data();
    for (std::size_t step = 0; step < weights.steps; ++step, bytes += part) {
      const std::size_t target = wrapped(weights.address + step, config_.weight_steps);
      std::copy_n(bytes, part, weights_.data() + target * extents_.step_bytes + port * part);
    }
  }
}

void Machine::execute(const isa::Channels& channels) {
  const std::uint64_t address = base_of(command_, channels.base) + word_bytes * std::uint64_t{channels.offset};
  const std::size_t lanes = config_.output_lanes;
  const std::int8_t* bytes = read(address, channels.blocks * lanes * extents_.channel_bytes).data();
  const std::size_t bias_bytes = 4 * extents_.activation_bytes;
  for (std::size_t i = 0; i < channels.blocks * lanes; ++i, bytes += extents_.channel_bytes) {
    ChannelParameters& target = channels_[wrapped(channels.address * lanes + i, channels_.size())];
    // Little endian: the upper half of a 32-bit bias stays zero, which sums modulo 2^32 do not see.
    target.bias = 0;
    std::memcpy(&target.bias, bytes, bias_bytes);
    std::memcpy(&target.multiplier, bytes + bias_bytes, sizeof(target.multiplier));
  }
}

void Machine::execute(const isa::Micro& micro) {
  for (std::size_t i = 0; i < micro.count; ++i) {
    micro_[wrapped(micro.address + i, micro_.size())] = micro_operation(micro, i);
  }
}

void Machine::execute(const isa::Store& store) {
  const bool wide = extents_.activation_bytes == 2;
  for_each_transfer(store, base_of(command_, store.base),
                    [&](std::uint64_t address, std::uint64_t bytes, std::uint32_t row, std::uint32_t first_column,
                        std::uint32_t columns) {
                      const auto target = memory_->write(address, bytes);
                      if (target.empty()) return;
                      auto* out = reinterpret_cast<std::int8_t*>(target.data());
                      for (std::uint32_t column = 0; column < columns; ++column, out += store.words * word_bytes) {
                        if (wide) {
                          store_pixel<std::int16_t>(store, row, first_column + column, out);
                        } else {
                          store_pixel<std::int8_t>(store, row, first_column + column, out);
                        }
                      }
                    });
}

template <class Activation>
void Machine::store_pixel(const isa::Store& store, std::uint32_t row, std::uint32_t column, std::int8_t* out) const {
  constexpr std::size_t channels = word_bytes / sizeof(Activation);
  const std::int32_t top = store.origin_row + static_cast<std::int32_t>(row * store.stride_rows);
  const std::int32_t left = store.origin_column + static_cast<std::int32_t>(column * store.stride_columns);
  for (std::uint32_t plane = 0; plane < store.words; ++plane, out += word_bytes) {
    std::array<Activation, channels> greatest;
    greatest.fill(std::numeric_limits<Activation>::min());
    for (std::int32_t y = std::max(top, 0); y < std::min<std::int32_t>(top + store.window_rows, store.in_rows); ++y) {
      for (std::int32_t x = std::max(left, 0);
           x < std::min<std::int32_t>(left + store.window_columns, store.in_columns); ++x) {
        std::array<Activation, channels> values;
        const std::uint32_t address = store.address + plane * store.address_plane_pitch +
                                      static_cast<std::uint32_t>(y) * store.address_row_pitch +
                                      static_cast<std::uint32_t>(x);
        std::memcpy(values.data(), feature(address).data(), word_bytes);
        for (std::size_t i = 0; i < channels; ++i) greatest[i] = std::max(greatest[i], values[i]);
      }
    }
    std::memcpy(out, greatest.data(), word_bytes);
  }
}

}  // namespace cosoc::conv2d
