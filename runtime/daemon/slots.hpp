/// Memory of clients.
#pragma once

#include <memory>
#include <optional>

#include "device/descriptor.hpp"
#include "drivers/driver.hpp"

namespace cosoc::daemon {

/// Memory of one client: what it maps, and behind it in the same address window what drivers keep for it and it never
/// sees. With models of accelerators both lie in device memory. A board's device memory cannot be taken apart: there
/// the client's lies outside, and operands are copied. Without accelerators the daemon does not map it itself.
class Slot {
 public:
  /// A file of memory of its own; `device` is null without accelerators. Not thread safe, nor is the end: both take
  /// device memory.
  static Result<std::unique_ptr<Slot>> make(std::uint64_t bytes, DeviceMemory* device);
  /// One outside of device memory that the daemon maps.
  static Result<std::unique_ptr<Slot>> make_outside(std::uint64_t bytes);
  /// Nothing may be in use any more. The memory goes back to the system, and is zero for whoever has it next.
  ~Slot();
  Slot(const Slot&) = delete;
  Slot& operator=(const Slot&) = delete;

  /// What the client maps. Its size is sealed: a mapping of it cannot lose its pages.
  const Descriptor& file() const { return file_; }
  std::uint64_t bytes() const { return bytes_; }
  /// Nothing when it does not lie in device memory.
  const Arena* arena() const { return arena_ ? &*arena_ : nullptr; }
  /// The client's range as drivers see it; outside of device memory it has no number. It was checked to be inside, and
  /// there are accelerators.
  Block block(std::uint64_t offset, std::size_t size, std::uint64_t id) const;

 private:
  Slot(Descriptor file, std::uint64_t bytes, DeviceMemory* device)
      : file_(std::move(file)), bytes_(bytes), device_(device) {}
  Status place();

  Descriptor file_;
  std::uint64_t bytes_;
  SharedMapping outside_;
  DeviceMemory* device_;
  Block reserved_;                      // of device memory
  std::span<std::byte> pages_;          // the whole pages in it
  std::unique_ptr<DeviceMemory> kept_;  // what the client does not map
  std::optional<Arena> arena_;
};

/// A file of zeroed memory that can be mapped and not resized, for sharing with another process.
Result<Descriptor> make_shared_file(std::uint64_t bytes);

}  // namespace cosoc::daemon
