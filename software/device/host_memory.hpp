/// Memory of the host that takes the place of device memory.
#pragma once

#include <cstddef>
#include <span>

#include "device/result.hpp"

namespace cosoc {

/// A zeroed region that takes physical pages only where it is used.
class HostMemory {
 public:
  /// Fails when the system has no room for `bytes`.
  static Result<HostMemory> make(std::size_t bytes);

  HostMemory(HostMemory&& other) noexcept;
  HostMemory& operator=(HostMemory&&) = delete;
  ~HostMemory();

  std::span<std::byte> region() const { return region_; }

 private:
  explicit HostMemory(std::span<std::byte> region) : region_(region) {}

  std::span<std::byte> region_;
};

}  // namespace cosoc
