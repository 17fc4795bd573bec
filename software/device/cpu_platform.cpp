/// Mode `cpu`: plain memory, no accelerator.
#include <optional>

#include "device/host_memory.hpp"
#include "device/platform.hpp"

namespace cosoc {
namespace {

class CpuPlatform final : public WallClockPlatform {
 public:
  /// Without a region every allocation fails with a message that says so.
  explicit CpuPlatform(std::optional<HostMemory> region)
      : region_(std::move(region)), memory_(region_ ? region_->region() : std::span<std::byte>(), 0) {}

  DeviceMemory& memory() override { return memory_; }
  std::size_t accelerator_count() const override { return 0; }
  Device& accelerator(std::size_t index) override { return *devices_.at(index); }
  Result<bool> wait_interrupt(std::size_t index, Time) override {
    return failure("there is no accelerator " + std::to_string(index) + ": mode cpu has none");
  }

 private:
  std::optional<HostMemory> region_;
  DeviceMemory memory_;
  std::vector<std::unique_ptr<Device>> devices_;  // always empty
};

}  // namespace

std::unique_ptr<WallClockPlatform> make_cpu_platform(std::size_t memory_bytes) {
  auto region = HostMemory::make(memory_bytes);
  return std::make_unique<CpuPlatform>(region ? std::optional(std::move(*region)) : std::nullopt);
}

}  // namespace cosoc
