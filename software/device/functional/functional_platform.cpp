/// Mode `functional`: models of the accelerators in simulated time.
#include <algorithm>

#include "device/functional/functional_device.hpp"
#include "device/host_memory.hpp"
#include "device/platform.hpp"

namespace cosoc {
namespace {

class FunctionalPlatform final : public SimulatedPlatform {
 public:
  FunctionalPlatform(HostMemory region, const SoCDescription& soc)
      : soc_(soc), region_(std::move(region)), memory_(region_.region(), soc.memory_base) {}

  Status add(const AcceleratorDescription& description) {
    auto model = make_functional_model(description);
    if (!model) return tl::unexpected(model.error());
    devices_.push_back(std::make_unique<FunctionalDevice>(std::move(*model), memory_, soc_));
    return {};
  }

  DeviceMemory& memory() override { return memory_; }
  std::size_t accelerator_count() const override { return devices_.size(); }
  Device& accelerator(std::size_t index) override { return *devices_.at(index); }
  Time now() const override { return now_; }

  Result<std::optional<std::size_t>> advance(Time limit) override {
    for (;;) {
      for (std::size_t i = 0; i < devices_.size(); ++i) {
        if (devices_[i]->interrupt()) return i;
      }
      if (now_ >= limit) return std::nullopt;
      Time next = limit;
      for (const auto& device : devices_) next = std::min(next, device->next_event().value_or(limit));
      now_ = next;
      for (const auto& device : devices_) device->advance_to(now_);
    }
  }

 private:
  SoCDescription soc_;
  HostMemory region_;
  DeviceMemory memory_;
  std::vector<std::unique_ptr<FunctionalDevice>> devices_;
  Time now_{0};
};

}  // namespace

Result<std::unique_ptr<SimulatedPlatform>> make_functional_platform(const SoCDescription& soc) {
  auto region = HostMemory::make(soc.memory_bytes);
  if (!region) return tl::unexpected(region.error());
  auto platform = std::make_unique<FunctionalPlatform>(std::move(*region), soc);
  for (const AcceleratorDescription& description : soc.accelerators) {
    if (auto status = platform->add(description); !status) return tl::unexpected(status.error());
  }
  return platform;
}

}  // namespace cosoc
