/// Memory that both the CPU and the accelerators reach.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>

#include "device/result.hpp"

namespace cosoc {

/// A range of device memory: where the CPU sees it and where the accelerators do.
struct Block {
  std::byte* data = nullptr;
  std::uint64_t physical = 0;
  std::size_t size = 0;
  std::uint64_t id = 0;  // of the allocation; another one at the same place has another

  template <class T>
  T* as() const {
    return reinterpret_cast<T*>(data);
  }
};

/// One contiguous region, divided into blocks by first fit. Not thread safe: one runtime owns it.
class DeviceMemory {
 public:
  /// Blocks begin at multiples of this, and a pixel or a burst never shares a cache line with another block.
  static constexpr std::size_t alignment = 64;

  /// `region` stays the caller's; it lies at `physical` on the accelerators' bus.
  DeviceMemory(std::span<std::byte> region, std::uint64_t physical);
  virtual ~DeviceMemory() = default;
  DeviceMemory(const DeviceMemory&) = delete;
  DeviceMemory& operator=(const DeviceMemory&) = delete;

  /// A zeroed block of at least one byte; fails with the sizes asked for and left when memory is short.
  Result<Block> allocate(std::size_t size);
  /// The same without zeroing: not a byte of it is touched.
  Result<Block> reserve(std::size_t size);
  /// Returns a block; it must be one that `allocate` gave.
  void release(const Block& block);
  /// Whether this allocation was not released yet.
  bool holds(const Block& block) const;

  /// The bytes at a physical address, or an error when they are not all inside the region.
  Result<std::span<std::byte>> at(std::uint64_t physical, std::size_t size) const;

  /// Makes what the CPU wrote visible to accelerators. Nothing to do where memory is coherent.
  virtual void sync_for_device(const Block&) {}
  /// Makes what an accelerator wrote visible to the CPU.
  virtual void sync_for_cpu(const Block&) {}

  std::span<std::byte> region() const { return region_; }
  std::uint64_t physical() const { return physical_; }
  std::size_t bytes_in_use() const { return in_use_; }
  std::size_t peak_bytes() const { return peak_; }

 private:
  std::span<std::byte> region_;
  std::uint64_t physical_;
  std::map<std::size_t, std::size_t> free_;   // offset -> size, neighbours merged
  std::map<std::uint64_t, Block> allocated_;  // by id, with the sizes taken from `free_`
  std::uint64_t last_id_ = 0;
  std::size_t in_use_ = 0;
  std::size_t peak_ = 0;
};

}  // namespace cosoc
