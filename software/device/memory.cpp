#include "device/memory.hpp"

#include <algorithm>
#include <cstring>
#include <string>

namespace cosoc {

DeviceMemory::DeviceMemory(std::span<std::byte> region, std::uint64_t physical) : physical_(physical) {
  // A partial line at the end could never be given away.
  region_ = region.first(region.size() / alignment * alignment);
  if (!region_.empty()) free_.emplace(0, region_.size());
}

Result<Block> DeviceMemory::allocate(std::size_t size) {
  auto block = reserve(size);
  if (block) std::memset(block->data, 0, (block->size + alignment - 1) / alignment * alignment);
  return block;
}

Result<Block> DeviceMemory::reserve(std::size_t size) {
  const std::size_t left = region_.size() - in_use_;
  const auto too_large = [&](std::string_view reason) {
    return failure("device memory: " + std::to_string(size) + " bytes asked for, " + std::to_string(left) + " of " +
                   std::to_string(region_.size()) + " bytes left" + std::string(reason));
  };
  if (size > left) return too_large("; use a SoC with more memory, or a smaller model or batch");
  const std::size_t rounded = std::max(alignment, (size + alignment - 1) / alignment * alignment);
  const auto fit =
      std::find_if(free_.begin(), free_.end(), [rounded](const auto& range) { return range.second >= rounded; });
  if (fit == free_.end()) return too_large(" but not in one piece; use a SoC with more memory");

  const auto [offset, available] = *fit;
  free_.erase(fit);
  if (available > rounded) free_.emplace(offset + rounded, available - rounded);
  in_use_ += rounded;
  peak_ = std::max(peak_, in_use_);
  Block block{.data = region_.data() + offset, .physical = physical_ + offset, .size = rounded, .id = ++last_id_};
  allocated_.emplace(block.id, block);
  block.size = std::max<std::size_t>(size, 1);
  return block;
}

void DeviceMemory::release(const Block& block) {
  const auto found = allocated_.find(block.id);
  if (found == allocated_.end()) return;
  const std::size_t offset = found->second.physical - physical_;
  std::size_t size = found->second.size;
  allocated_.erase(found);
  in_use_ -= size;
  auto next = free_.lower_bound(offset);
  if (next != free_.end() && next->first == offset + size) {
    size += next->second;
    next = free_.erase(next);
  }
  if (next != free_.begin()) {
    const auto before = std::prev(next);
    if (before->first + before->second == offset) {
      before->second += size;
      return;
    }
  }
  free_.emplace(offset, size);
}

bool DeviceMemory::holds(const Block& block) const { return allocated_.contains(block.id); }

Result<std::span<std::byte>> DeviceMemory::at(std::uint64_t physical, std::size_t size) const {
  const std::uint64_t offset = physical - physical_;
  if (physical < physical_ || offset > region_.size() || size > region_.size() - offset) {
    return failure("bus address " + std::to_string(physical) + ", " + std::to_string(size) +
                   " bytes, is not inside device memory at " + std::to_string(physical_) + ", " +
                   std::to_string(region_.size()) + " bytes");
  }
  return region_.subspan(offset, size);
}

}  // namespace cosoc
