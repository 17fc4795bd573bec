/// Registers, ring and interrupt of an accelerator around its functional model.
#pragma once

#include <array>
#include <deque>
#include <memory>
#include <optional>

#include "device/device.hpp"
#include "device/functional/functional_model.hpp"
#include "device/memory.hpp"
#include "device/platform.hpp"

namespace cosoc {

/// The common register page as gateware/layout/page.py declares it. Values are computed when a command is submitted;
/// its completion and interrupt become visible when simulated time reaches its end. Commands run one after another.
class FunctionalDevice final : public Device {
 public:
  FunctionalDevice(IdentifiedModel model, const DeviceMemory& memory, const SoCDescription& soc);

  std::uint32_t read32(std::uint32_t offset) override;
  void write32(std::uint32_t offset, std::uint32_t value) override;

  /// End of the command in execution.
  std::optional<Time> next_event() const;
  /// Completes what ends until then. Time never goes back.
  void advance_to(Time now);
  /// Level of the interrupt line.
  bool interrupt() const;

 private:
  struct InFlight {
    Time end;
    std::uint64_t slot;  // address
    std::uint32_t error;
    bool interrupt;
    std::uint16_t tag;
    std::uint64_t cycles;
    std::uint64_t beats_read;
    std::uint64_t beats_written;
  };

  std::uint32_t& at(std::uint32_t offset) { return registers_[offset / 4]; }
  std::uint32_t get(std::uint32_t offset) const { return registers_[offset / 4]; }
  std::uint64_t get64(std::uint32_t offset) const;
  void add64(std::uint32_t offset, std::uint64_t increment);
  void reset();
  void write_control(std::uint32_t value);
  /// A doorbell that announces more commands than the ring has slots, or takes some back, is refused.
  void accept_doorbell();
  void execute_submitted();
  InFlight execute(std::uint64_t slot);
  void complete(const InFlight& command);
  void report(std::uint32_t error);

  Identity identity_;
  std::unique_ptr<FunctionalModel> model_;
  const DeviceMemory& memory_;
  const SoCDescription& soc_;
  std::array<std::uint32_t, page::beats_written_hi / 4 + 1> registers_{};
  std::uint32_t submitted_ = 0;  // commands that accepted doorbells announced
  std::uint32_t fetched_ = 0;    // commands taken from the ring
  std::deque<InFlight> in_flight_;
  Time now_{0};
};

}  // namespace cosoc
