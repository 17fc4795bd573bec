#include "device/host_memory.hpp"

#include <sys/mman.h>

#include <cerrno>
#include <cstring>
#include <utility>

namespace cosoc {

Result<HostMemory> HostMemory::make(std::size_t bytes) {
  void* data = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (data == MAP_FAILED) {
    return failure("cannot get " + std::to_string(bytes) + " bytes of memory for the SoC: " + std::strerror(errno));
  }
  return HostMemory(std::span(static_cast<std::byte*>(data), bytes));
}

HostMemory::HostMemory(HostMemory&& other) noexcept : region_(std::exchange(other.region_, {})) {}

HostMemory::~HostMemory() {
  if (!region_.empty()) munmap(region_.data(), region_.size());
}

}  // namespace cosoc
