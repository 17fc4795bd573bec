#include "daemon/stepped_platform.hpp"

#include <condition_variable>
#include <mutex>

#include "cosoc/generated/page.hpp"

namespace cosoc::daemon {
namespace {

/// Simulated time between looks at the clock on the wall.
constexpr Time step = std::chrono::microseconds(20);

/// A device behind the lock of the one that computes it.
class LockedDevice final : public Device {
 public:
  LockedDevice(Device& device, std::mutex& mutex, std::condition_variable& written)
      : device_(device), mutex_(mutex), written_(written) {}
  std::uint32_t read32(std::uint32_t offset) override {
    const std::lock_guard lock(mutex_);
    return device_.read32(offset);
  }
  void write32(std::uint32_t offset, std::uint32_t value) override {
    const std::lock_guard lock(mutex_);
    device_.write32(offset, value);
    written_.notify_all();
  }

 private:
  Device& device_;
  std::mutex& mutex_;
  std::condition_variable& written_;
};

class SteppedPlatform final : public WallClockPlatform {
 public:
  explicit SteppedPlatform(std::unique_ptr<SimulatedPlatform> simulated) : simulated_(std::move(simulated)) {
    for (std::size_t i = 0; i < simulated_->accelerator_count(); ++i) {
      devices_.push_back(std::make_unique<LockedDevice>(simulated_->accelerator(i), mutex_, written_));
    }
  }

  DeviceMemory& memory() override { return simulated_->memory(); }
  std::size_t accelerator_count() const override { return devices_.size(); }
  Device& accelerator(std::size_t index) override { return *devices_.at(index); }

  Result<bool> wait_interrupt(std::size_t index, Time timeout) override {
    const auto end = std::chrono::steady_clock::now() + timeout;
    std::unique_lock lock(mutex_);
    do {
      const auto line = simulated_->advance(simulated_->now() + step);
      if (!line) return tl::make_unexpected(line.error());
      if (*line && **line == index) return true;
      if (*line) {
        // Time stands still until that one's thread has served it; the lowest hides others, ours perhaps.
        if (high(index)) return true;
        written_.wait_for(lock, std::chrono::milliseconds(10));
      } else {
        lock.unlock();
        lock.lock();
      }
    } while (std::chrono::steady_clock::now() < end);
    return false;
  }

 private:
  bool high(std::size_t index) { return simulated_->accelerator(index).read32(page::interrupt_status) != 0; }

  std::unique_ptr<SimulatedPlatform> simulated_;
  std::vector<std::unique_ptr<LockedDevice>> devices_;
  std::mutex mutex_;
  std::condition_variable written_;
};

}  // namespace

std::unique_ptr<WallClockPlatform> make_stepped_platform(std::unique_ptr<SimulatedPlatform> simulated) {
  return std::make_unique<SteppedPlatform>(std::move(simulated));
}

}  // namespace cosoc::daemon
