#include "drivers/conv2d/feature_banks.hpp"

#include <cmath>

namespace cosoc::conv2d {
namespace {

constexpr std::int64_t residual_lead = 28;  // cycles from the read of a residual to the write of its result

/// The first position inside a window, and how many there are.
std::pair<std::int64_t, std::int64_t> inside(const WindowAxis& axis, std::int64_t number) {
  const std::int64_t origin = axis.origin + number * axis.stride;
  const std::int64_t first = std::max<std::int64_t>(origin, 0);
  return {first, std::max<std::int64_t>(std::min(origin + axis.window, axis.limit) - first, 0)};
}

}  // namespace

void TileWalk::start_row() {
  const auto [first, count] = inside(tile_.rows, row_);
  rows_ = static_cast<std::uint32_t>(count);
  row_address_ = tile_.address + static_cast<std::uint32_t>(first) * tile_.row_pitch;
}

void TileWalk::start_pixel() {
  const auto [first, count] = inside(tile_.positions, pixel_);
  columns_ = static_cast<std::uint32_t>(count);
  address_ = row_address_ + static_cast<std::uint32_t>(first);
}

void TileWalk::advance() {
  address_ += tile_.plane_pitch;
  if (++word_ < tile_.words) return;
  word_ = 0;
  if (static_cast<std::uint64_t>(++pixel_) == tile_.columns) {
    pixel_ = 0;
    ++row_;
    start_row();
  }
  start_pixel();
}

FeatureBanks::FeatureBanks(const Config& config)
    : lanes_(config.pixel_lanes),
      word_parts_(static_cast<std::uint32_t>(word_parts(config))),
      banks_(static_cast<std::uint32_t>(banks(config))),
      slice_pixels_(config.pixel_lanes / static_cast<std::uint32_t>(group_slices(config))) {}

std::int64_t FeatureBanks::add(const OutputStream& stream) {
  for (std::uint64_t block = 0; block < stream.blocks; ++block) {
    for (std::uint64_t group = 0; group < stream.groups; ++group) add_group(stream, block, group);
  }
  return written_at_;
}

/// A group has slices up to its last pixel.
void FeatureBanks::add_group(const OutputStream& stream, std::uint64_t block, std::uint64_t group) {
  const auto plane = static_cast<std::uint32_t>((stream.part + block) / word_parts_);
  const std::uint32_t address = stream.address + plane * stream.plane_pitch;
  const std::uint64_t end = std::min((group + 1) * lanes_, stream.before + stream.pixels);
  std::int64_t there = stream.first + static_cast<std::int64_t>((block * stream.groups + group) * stream.steps);
  for (std::uint64_t lane = group * lanes_; lane < end; lane += slice_pixels_, ++there) {
    const std::uint32_t banks = banks_of(stream, address, lane);
    entered_ = std::max(there, entered_ + 1);
    written_at_ = std::max(entered_, written_at_ + 1);
    if (stream.residual_offset) {
      const std::uint32_t turn = *stream.residual_offset & (banks_ - 1);
      read_residual(turn == 0 ? banks : banks << turn | banks >> (banks_ - turn));
      written_at_ = std::max(written_at_, residual_at_ + residual_lead);
    }
    results_.push_back({written_at_, banks});
  }
}

/// Banks of the results of a slice.
std::uint32_t FeatureBanks::banks_of(const OutputStream& stream, std::uint32_t address, std::uint64_t lane) const {
  std::uint32_t used = 0;
  const std::uint64_t end = std::min(lane + slice_pixels_, stream.before + stream.pixels);
  for (lane = std::max(lane, stream.before); lane < end; ++lane) {
    const std::uint64_t pixel = lane - stream.before;
    const auto row = static_cast<std::uint32_t>(pixel / stream.columns);
    used |= bank(address + static_cast<std::uint32_t>(pixel) + stream.row_step * row);
  }
  return used;
}

void FeatureBanks::read_residual(std::uint32_t banks) {
  residual_at_ = std::max(entered_ - residual_lead, residual_at_ + 1);
  for (;; ++residual_at_) {
    while (results_before_ < results_.size() && results_[results_before_].cycle < residual_at_) ++results_before_;
    if (results_before_ == results_.size()) break;
    const Access& result = results_[results_before_];
    if (result.cycle > residual_at_ || (result.banks & banks) == 0) break;
  }
  residuals_.push_back({residual_at_, banks});
}

/// Remembers accesses whose cycle has come.
void FeatureBanks::take(std::deque<Access>& accesses, std::int64_t cycle) {
  while (!accesses.empty() && accesses.front().cycle <= cycle) {
    const Access& access = accesses.front();
    if (access.cycle + static_cast<std::int64_t>(remembered) > cycle) at(access.cycle).output |= access.banks;
    accesses.pop_front();
  }
}

std::uint32_t FeatureBanks::output(std::int64_t cycle) {
  const std::size_t waiting = results_.size();
  take(results_, cycle);
  results_before_ -= std::min(results_before_, waiting - results_.size());
  take(residuals_, cycle);
  return at(cycle).output;
}

FeatureBanks::Cycle& FeatureBanks::at(std::int64_t cycle) {
  Cycle& found = cycles_[static_cast<std::size_t>(cycle) % remembered];
  if (found.number != cycle) found = {cycle, 0, 0, 0};
  return found;
}

double FeatureBanks::read(double from, std::uint32_t address) {
  const std::uint32_t wanted = bank(address);
  auto cycle = static_cast<std::int64_t>(std::floor(from));
  while ((at(cycle).reads | output(cycle)) & wanted) ++cycle;
  at(cycle).reads |= wanted;
  return std::max(from, static_cast<double>(cycle));
}

std::optional<double> FeatureBanks::write(double from, std::uint32_t address, double limit) {
  const std::uint32_t wanted = bank(address);
  auto cycle = static_cast<std::int64_t>(std::floor(from));
  while ((at(cycle).reads | at(cycle).writes | output(cycle)) & wanted) {
    if (static_cast<double>(++cycle) >= limit) return {};
  }
  at(cycle).writes |= wanted;
  return std::max(from, static_cast<double>(cycle));
}

}  // namespace cosoc::conv2d
