#include <mutex>
#include <optional>

#include "cosoc/generated/page.hpp"
#include "daemon/stepped_platform.hpp"
#include "device/functional/functional_device.hpp"
#include "device/host_memory.hpp"

namespace cosoc::daemon {
namespace {

/// A functional model with a clock of its own.
class ConcurrentDevice final : public Device {
 public:
  ConcurrentDevice(IdentifiedModel model, const DeviceMemory& memory, const SoCDescription& soc)
      : device_(std::move(model), memory, soc) {}

  std::uint32_t read32(std::uint32_t offset) override {
    const std::lock_guard lock(mutex_);
    return device_.read32(offset);
  }

  void write32(std::uint32_t offset, std::uint32_t value) override {
    const std::lock_guard lock(mutex_);
    if (offset == page::ring_tail) {
      doorbell_ = value;
      return;
    }
    // A reset drops what was not begun.
    if (offset == page::control && (value & page::control_reset) != 0) doorbell_.reset();
    device_.write32(offset, value);
  }

  /// Computes what was submitted, and lets time pass until the interrupt; false when nothing brings one.
  bool compute() {
    const std::lock_guard lock(mutex_);
    if (const auto doorbell = std::exchange(doorbell_, std::nullopt)) device_.write32(page::ring_tail, *doorbell);
    while (!device_.interrupt()) {
      const auto next = device_.next_event();
      if (!next) return false;
      device_.advance_to(*next);
    }
    return true;
  }

 private:
  std::mutex mutex_;
  FunctionalDevice device_;
  std::optional<std::uint32_t> doorbell_;
};

class ConcurrentPlatform final : public WallClockPlatform {
 public:
  ConcurrentPlatform(HostMemory region, const SoCDescription& soc)
      : soc_(soc), region_(std::move(region)), memory_(region_.region(), soc.memory_base) {}

  Status add(const AcceleratorDescription& description) {
    auto model = make_functional_model(description);
    if (!model) return tl::make_unexpected(model.error());
    devices_.push_back(std::make_unique<ConcurrentDevice>(std::move(*model), memory_, soc_));
    return {};
  }

  DeviceMemory& memory() override { return memory_; }
  std::size_t accelerator_count() const override { return devices_.size(); }
  Device& accelerator(std::size_t index) override { return *devices_.at(index); }
  Result<bool> wait_interrupt(std::size_t index, Time) override { return devices_.at(index)->compute(); }

 private:
  SoCDescription soc_;
  HostMemory region_;
  DeviceMemory memory_;
  std::vector<std::unique_ptr<ConcurrentDevice>> devices_;
};

}  // namespace

Result<std::unique_ptr<WallClockPlatform>> make_concurrent_platform(const SoCDescription& soc) {
  auto region = HostMemory::make(soc.memory_bytes);
  if (!region) return tl::make_unexpected(region.error());
  auto platform = std::make_unique<ConcurrentPlatform>(std::move(*region), soc);
  for (const AcceleratorDescription& description : soc.accelerators) {
    if (auto added = platform->add(description); !added) return tl::make_unexpected(added.error());
  }
  return platform;
}

}  // namespace cosoc::daemon
