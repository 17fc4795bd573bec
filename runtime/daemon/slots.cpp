#include "daemon/slots.hpp"

#include <fcntl.h>
#include <sys/mman.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string>

namespace cosoc::daemon {
namespace {

constexpr std::uint64_t page_bytes = 4096;
/// What drivers keep for a client, by its memory: programs and repacked weights.
constexpr std::uint64_t least_kept = 1 << 20;

std::uint64_t whole_pages(std::uint64_t bytes) { return (bytes + page_bytes - 1) / page_bytes * page_bytes; }

}  // namespace

Result<Descriptor> make_shared_file(std::uint64_t bytes) {
  Descriptor file(::memfd_create("cosoc", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  const int seals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;
  if (!file || ::ftruncate(file.get(), static_cast<off_t>(bytes)) != 0 ||
      ::fcntl(file.get(), F_ADD_SEALS, seals) != 0) {
    return failure("cannot make " + std::to_string(bytes) + " bytes of shared memory: " + std::strerror(errno));
  }
  return file;
}

Result<std::unique_ptr<Slot>> Slot::make(std::uint64_t bytes, DeviceMemory* device) {
  const std::uint64_t size = whole_pages(std::max<std::uint64_t>(bytes, 1));
  auto file = make_shared_file(size);
  if (!file) return tl::make_unexpected(file.error());
  std::unique_ptr<Slot> slot(new Slot(std::move(*file), size, device));
  if (device == nullptr) return slot;
  if (auto placed = slot->place(); !placed) return tl::make_unexpected(placed.error());
  return slot;
}

Result<std::unique_ptr<Slot>> Slot::make_outside(std::uint64_t bytes) {
  auto slot = make(bytes, nullptr);
  if (!slot) return slot;
  (*slot)->outside_ = SharedMapping::of((*slot)->file_, (*slot)->bytes_);
  if (!(*slot)->outside_) return failure("cannot map " + std::to_string(bytes) + " bytes of an application");
  return slot;
}

Status Slot::place() {
  const std::uint64_t kept = whole_pages(std::max(least_kept, bytes_ / 2));
  // One page more, because blocks begin at smaller multiples.
  auto reserved = device_->reserve(bytes_ + kept + page_bytes);
  if (!reserved) return tl::make_unexpected(reserved.error());
  reserved_ = *reserved;
  const auto address = reinterpret_cast<std::uintptr_t>(reserved_.data);
  const std::uint64_t skipped = (page_bytes - address % page_bytes) % page_bytes;
  std::byte* const first = reserved_.data + skipped;
  void* mapped = ::mmap(first, bytes_, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, file_.get(), 0);
  if (mapped == MAP_FAILED) {
    return failure("cannot map " + std::to_string(bytes_) + " bytes of an application: " + std::strerror(errno));
  }
  pages_ = {first, bytes_ + kept};
  const std::uint64_t physical = reserved_.physical + skipped;
  kept_ = std::make_unique<DeviceMemory>(pages_.subspan(bytes_), physical + bytes_);
  arena_.emplace(Arena{*kept_, physical, physical + bytes_ + kept - 1});
  return {};
}

Slot::~Slot() {
  if (device_ == nullptr) return;
  if (!pages_.empty()) {
    // Fresh pages in place of the client's; a failure would leave them mapped, which harms nobody but must not be
    // reused.
    const int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED;
    if (::mmap(pages_.data(), pages_.size(), PROT_READ | PROT_WRITE, flags, -1, 0) == MAP_FAILED) return;
  }
  device_->release(reserved_);
}

Block Slot::block(std::uint64_t offset, std::size_t size, std::uint64_t id) const {
  if (!arena_) return {.data = outside_.bytes().data() + offset, .physical = 0, .size = size, .id = 0};
  return {.data = pages_.data() + offset, .physical = arena_->window_base + offset, .size = size, .id = id};
}

}  // namespace cosoc::daemon
