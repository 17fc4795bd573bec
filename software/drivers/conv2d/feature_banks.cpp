#include "drivers/conv2d/feature_banks.hpp"

#include <cmath>

namespace cosoc::conv2d {
namespace {

constexpr double forgotten_after = 256;     // cycles in which engines are behind the time of the schedule at most
constexpr std::int64_t residual_lead = 29;  // cycles from the read of a residual to the write of its result

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

FeatureBanks::FeatureBanks(std::uint32_t pixel_lanes, std::uint32_t word_parts)
    : lanes_(pixel_lanes),
      word_parts_(word_parts),
      banks_(std::max<std::uint32_t>(4, 2 * pixel_lanes)),
      slices_(std::min<std::uint32_t>(pixel_lanes, 4)),
      slice_pixels_(pixel_lanes / slices_) {}

void FeatureBanks::add(double now, const OutputStream& stream) {
  while (!outputs_.empty() && static_cast<double>(outputs_.front().end) + forgotten_after <= now) outputs_.pop_front();
  outputs_.push_back(stream);
}

std::uint32_t FeatureBanks::banks_of(const OutputStream& stream, std::int64_t cycle) const {
  if (cycle < stream.begin || cycle >= stream.end) return 0;
  const std::int64_t offset = cycle - stream.begin;
  const std::uint64_t number = static_cast<std::uint64_t>(offset) / stream.period;
  const std::uint64_t slice = static_cast<std::uint64_t>(offset) % stream.period;
  if (slice >= slices_) return 0;
  const std::uint64_t block = number / stream.groups;
  const std::uint64_t pixel = number % stream.groups * lanes_ + slice * slice_pixels_;
  const auto plane = static_cast<std::uint32_t>((stream.part + block) / word_parts_);
  const std::uint32_t address = stream.address + plane * stream.plane_pitch;
  std::uint32_t used = 0;
  for (std::uint64_t lane = std::max(pixel, stream.before); lane < pixel + slice_pixels_; ++lane) {
    const std::uint64_t p = lane - stream.before;
    if (p >= stream.pixels) break;
    used |= bank(address + static_cast<std::uint32_t>(p) +
                 stream.row_step * static_cast<std::uint32_t>(p / stream.columns));
  }
  return used;
}

std::uint32_t FeatureBanks::output(std::int64_t cycle) const {
  std::uint32_t used = 0;
  for (const OutputStream& stream : outputs_) used |= banks_of(stream, cycle);
  const std::uint32_t written = used;
  for (const OutputStream& stream : outputs_) {
    if (!stream.residual) continue;
    const std::uint32_t turn = stream.residual_offset & (banks_ - 1);
    const auto read = [&](std::int64_t lead) {
      const std::uint32_t results = banks_of(stream, cycle + lead);
      return turn == 0 ? results : results << turn | results >> (banks_ - turn);
    };
    const std::uint32_t residuals = read(residual_lead);
    // A residual that meets a result comes a cycle later; then they go on side by side.
    used |= (residuals & written) != 0 ? read(residual_lead - 1) : residuals;
  }
  return used;
}

FeatureBanks::Cycle& FeatureBanks::at(std::int64_t cycle) {
  Cycle& found = cycles_[static_cast<std::size_t>(cycle) % remembered];
  if (found.number != cycle) found = {cycle, 0, 0};
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
