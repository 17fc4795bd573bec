/// What instructions read and write, for the checker of Conv2D programs.
#include <algorithm>
#include <utility>

#include "drivers/conv2d/program_checker.hpp"

namespace cosoc::conv2d {

void ProgramChecker::visit(const isa::Load& load) {
  for_each_transfer(load, base_of(command_, load.base),
                    [&](std::uint64_t address, std::uint64_t bytes, auto...) { read_memory(address, bytes); });
  if (load.fold_channels != 0) return write_folded(load);
  for (std::uint32_t row = 0; row < load.rows; ++row) {
    for (std::uint32_t plane = 0; plane < load.words; ++plane) {
      const std::uint32_t address = load.address + row * load.address_row_pitch + plane * load.address_plane_pitch;
      for (std::uint32_t column = 0; column < load.columns; ++column) write(features_, address + column);
    }
  }
}

void ProgramChecker::write_folded(const isa::Load& load) {
  const FoldedWords folded(extents_, load);
  for (std::uint32_t row = 0; row < load.rows; ++row) {
    for (std::uint32_t k = 0; k < folded.words; ++k) {
      const std::uint32_t address = load.address + row * load.address_row_pitch + k;
      write(features_, address, folded.of_word.mask());
      if (k >= folded.twins) continue;
      write(features_, address + static_cast<std::uint32_t>(load.twin_offset), folded.of_twin.mask());
    }
  }
}

void ProgramChecker::visit(const isa::Weights& weights) {
  read_memory(base_of(command_, weights.base) + word_bytes * std::uint64_t{weights.offset},
              weights.steps * extents_.step_bytes);
  for (std::uint32_t i = 0; i < weights.steps; ++i) write(weights_, weights.address + i);
}

void ProgramChecker::visit(const isa::Channels& channels) {
  read_memory(base_of(command_, channels.base) + word_bytes * std::uint64_t{channels.offset},
              channels.blocks * config_.output_lanes * extents_.channel_bytes);
  for (std::uint32_t i = 0; i < channels.blocks; ++i) write(channels_, channels.address + i);
}

void ProgramChecker::visit(const isa::Micro& micro) {
  for (std::size_t i = 0; i < micro.count; ++i) {
    const std::size_t entry = (micro.address + i) % micro_.size();
    if (!is_finished(isa::Unit::compute, micro_reader_[entry])) {
      unprotected("writes", "the micro-program memory", entry, "reads", isa::Unit::compute, micro_reader_[entry]);
    }
    micro_[entry] = micro_operation(micro, i);
    micro_command_[entry] = commands_;
    if (micro_[entry].words == 0) problem("has 0 words in entry " + std::to_string(i) + ", which must be at least 1");
  }
}

void ProgramChecker::visit(const isa::Store& store) {
  const auto window = [](std::int32_t origin, std::uint32_t position, std::uint32_t stride, std::uint32_t size,
                         std::uint32_t limit) {
    const std::int32_t first = origin + static_cast<std::int32_t>(position * stride);
    const std::int32_t end = first + static_cast<std::int32_t>(size);
    return std::pair(std::max(first, 0), std::min(end, static_cast<std::int32_t>(limit)));
  };
  for (std::uint32_t row = 0; row < store.rows; ++row) {
    const auto [top, bottom] = window(store.origin_row, row, store.stride_rows, store.window_rows, store.in_rows);
    for (std::uint32_t column = 0; column < store.columns; ++column) {
      const auto [left, right] =
          window(store.origin_column, column, store.stride_columns, store.window_columns, store.in_columns);
      for (std::int32_t y = top; y < bottom; ++y) {
        for (std::int32_t x = left; x < right; ++x) {
          const std::uint32_t address =
              store.address + static_cast<std::uint32_t>(y) * store.address_row_pitch + static_cast<std::uint32_t>(x);
          for (std::uint32_t plane = 0; plane < store.words; ++plane) {
            read(features_, address + plane * store.address_plane_pitch);
          }
        }
      }
    }
  }
  for_each_transfer(store, base_of(command_, store.base),
                    [&](std::uint64_t address, std::uint64_t bytes, auto...) { write_memory(address, bytes); });
}

void ProgramChecker::visit(const isa::Compute& compute) {
  const std::vector<MicroOperation> program = settings_of(compute);
  if (problem_) return;
  if (geometry_->window != 0) check_window(compute, program);
  const PixelWalk walk(config_, *geometry_, output_.value_or(isa::Output{}), compute);
  check_banks(compute, walk, program);
  read_operands(compute, walk, program);
  std::uint64_t steps = 0;
  const std::size_t word_steps = geometry_->window != 0 ? 1 : extents_.word_steps;
  for (const MicroOperation& operation : program) steps += operation.words * word_steps;
  steps *= compute.blocks;
  if (steps > config_.weight_steps) {
    return problem("uses " + std::to_string(steps) + " steps of weights; the weight buffer has " +
                   std::to_string(config_.weight_steps));
  }
  for (std::uint64_t i = 0; i < steps; ++i) read(weights_, compute.weight_address + i);
  if (compute.keep == 0) write_results(compute, walk);
  has_computed_ = true;
}

std::vector<MicroOperation> ProgramChecker::settings_of(const isa::Compute& compute) {
  std::vector<MicroOperation> program;
  for (std::size_t i = 0; i < compute.micro_count; ++i) {
    const std::size_t entry = (compute.micro_address + i) % micro_.size();
    if (micro_command_[entry] != commands_) {
      problem("uses entry " + std::to_string(entry) + " of the micro-program memory, which its command did not write");
    }
    micro_reader_[entry] = number_;
    program.push_back(micro_[entry]);
  }
  if (compute.accumulate != 0 && !has_computed_) {
    problem("accumulates, but its command has no COMPUTE before");
  }
  if (!geometry_) {
    problem("has no GEOMETRY before it in its command");
    return program;
  }
  const std::uint32_t lanes = config_.pixel_lanes;
  const auto expect = [&](std::string_view field, std::int64_t found, std::int64_t expected) {
    if (found == expected) return;
    problem("has a setting " + std::string(field) + " of " + std::to_string(found) + ", not " +
            std::to_string(expected));
  };
  expect("GEOMETRY.group_step", geometry_->group_step, lanes * geometry_->stride_columns);
  expect("GEOMETRY.group_rows", geometry_->group_rows, lanes / geometry_->out_columns);
  expect("GEOMETRY.group_columns", geometry_->group_columns, lanes % geometry_->out_columns);
  if (compute.keep != 0) return program;
  if (!output_) {
    problem("has no OUTPUT before it in its command");
    return program;
  }
  expect("OUTPUT.group_step", output_->group_step, lanes);
  if (output_->clamp_min > output_->clamp_max) problem("has a setting OUTPUT.clamp_min above clamp_max");
  return program;
}

void ProgramChecker::check_window(const isa::Compute& compute, const std::vector<MicroOperation>& program) {
  const auto expect = [&](bool holds, std::string_view what) {
    if (!holds) problem("has a setting GEOMETRY.window, which needs " + std::string(what));
  };
  expect(geometry_->out_columns == geometry_->columns, "out_columns = columns");
  expect(compute.in_column == 0, "in_column = 0");
  expect(compute.pixels % geometry_->out_columns == 0, "whole rows: pixels that are a multiple of out_columns");
  expect(compute.accumulate == 0 && compute.keep == 0, "neither accumulate nor keep");
  expect(program.size() <= window_operations, "at most " + std::to_string(window_operations) + " micro-operations");
  for (const MicroOperation& operation : program) {
    expect(operation.words == 1 && operation.column == 0, "micro-operations of one word in column 0");
  }
}

/// No two lanes of a phase may read from one bank. All words of a micro-operation and all blocks are alike: what they
/// add to the addresses is the same for every lane.
void ProgramChecker::check_banks(const isa::Compute& compute, const PixelWalk& walk,
                                 const std::vector<MicroOperation>& program) {
  constexpr std::size_t most_banks = 32;
  const std::uint32_t phases = 1U << geometry_->phases_log2;
  std::vector<Pixel> lanes;
  for (std::uint32_t first = 0; first < compute.pixels; first += config_.pixel_lanes) {
    lanes.clear();
    for (std::uint32_t lane = 0; lane < std::min(config_.pixel_lanes, compute.pixels - first); ++lane) {
      lanes.push_back(walk.at(first + lane));
    }
    for (const MicroOperation& operation : program) {
      for (std::uint32_t phase = 0; phase < phases; ++phase) {
        std::array<std::uint32_t, most_banks> lane_at_bank{};  // plus one
        for (std::uint32_t lane = phase; lane < lanes.size(); lane += phases) {
          if (!walk.inside(lanes[lane], operation.row, operation.column)) continue;
          std::uint32_t& before = lane_at_bank[lanes[lane].address % extents_.banks];
          if (before != 0) {
            return problem("has pixel lanes " + std::to_string(before - 1) + " and " + std::to_string(lane) +
                           " on one bank in the group of pixel " + std::to_string(first) +
                           ": choose another row pitch or set phases_log2");
          }
          before = lane + 1;
        }
      }
    }
  }
}

void ProgramChecker::read_operands(const isa::Compute& compute, const PixelWalk& walk,
                                   const std::vector<MicroOperation>& program) {
  const std::uint32_t blocks = compute.block_step == 0 ? 1 : compute.blocks;
  for (std::uint32_t pixel = 0; pixel < compute.pixels && !problem_; ++pixel) {
    const Pixel position = walk.at(pixel);
    for (const MicroOperation& operation : program) {
      if (!walk.inside(position, operation.row, operation.column)) continue;
      for (std::uint32_t block = 0; block < blocks; ++block) {
        const std::uint32_t address =
            position.address + static_cast<std::uint32_t>(operation.offset) + block * compute.block_step;
        for (std::uint32_t word = 0; word < operation.words; ++word) {
          read(features_, address + word * geometry_->plane_pitch);
        }
      }
    }
  }
}

void ProgramChecker::write_results(const isa::Compute& compute, const PixelWalk& walk) {
  for (std::uint32_t block = 0; block < compute.blocks; ++block) read(channels_, compute.channel_address + block);
  const auto parts = static_cast<std::uint32_t>(extents_.word_parts);
  const std::uint32_t planes = (compute.out_part + compute.blocks + parts - 1) / parts;
  // A residual that the result replaces is read before; any other one is like an operand.
  const std::uint32_t residual_offset = std::uint32_t{compute.residual_address} - compute.out_address;
  const bool in_place = residual_offset % config_.feature_words == 0;
  for (std::uint32_t plane = 0; plane < planes; ++plane) {
    for (std::uint32_t pixel = 0; pixel < compute.pixels && output_->residual != 0; ++pixel) {
      const std::uint32_t address = walk.at(pixel).out_address + plane * output_->plane_pitch + residual_offset;
      Use& use = features_.words[address & extents_.feature_mask];
      const std::uint32_t before = use.readers[static_cast<std::size_t>(unit_)];
      read(features_, address);
      if (in_place && before != number_) use.readers[static_cast<std::size_t>(unit_)] = before;
    }
  }
  for (std::uint32_t plane = 0; plane < planes; ++plane) {
    for (std::uint32_t pixel = 0; pixel < compute.pixels && !problem_; ++pixel) {
      write(features_, walk.at(pixel).out_address + plane * output_->plane_pitch);
    }
  }
}

}  // namespace cosoc::conv2d
