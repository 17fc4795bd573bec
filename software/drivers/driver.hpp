/// A driver turns kernel calls into commands of one accelerator. It never blocks and never looks at a clock.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "cosoc/generated/page.hpp"
#include "device/device.hpp"
#include "device/memory.hpp"
#include "device/platform.hpp"
#include "kernels/kernel.hpp"

namespace cosoc {

/// Counters of one call, read from the hardware.
struct CallCounters {
  std::uint64_t cycles = 0;  // in which the accelerator was busy with the call, modulo 2^32
  std::uint64_t commands = 0;
  // Only while `count_traffic` is on, modulo 2^32.
  std::uint64_t starved = 0;  // cycles in which the core waited for data to read
  std::uint64_t blocked = 0;  // cycles in which it could not write
  std::uint64_t beats_read = 0;
  std::uint64_t beats_written = 0;
};

/// Device memory of one application that may reach no other: the hardware keeps the transfers of its calls inside the
/// window. It outlives the calls; `Driver::forget` comes before its end.
struct Arena {
  DeviceMemory& kept;          // inside the window, for what drivers keep of the application: programs and constants
  std::uint64_t window_base;   // lowest address
  std::uint64_t window_limit;  // highest address
};

/// Base of all drivers: identity, ring, doorbell, completions. An accelerator's own driver says what it can do and
/// builds commands.
class Driver {
 public:
  virtual ~Driver();
  Driver(const Driver&) = delete;
  Driver& operator=(const Driver&) = delete;

  /// Nothing when this accelerator can run the call, or the reason why not. From any thread, also while calls run, as
  /// `estimate_cycles`.
  virtual Status supports(const Kernel& kernel, std::span<const TensorType> inputs,
                          std::span<const TensorType> outputs) const = 0;

  /// Clock cycles that a call is expected to take: the analytic model of this accelerator.
  virtual std::uint64_t estimate_cycles(const Kernel& kernel, std::span<const TensorType> inputs,
                                        std::span<const TensorType> outputs) const = 0;

  /// Submits a call. One call at a time: fails when one is running, or when one failed and no `reset` followed.
  /// Without an arena the call may reach all of device memory.
  Status start(const Kernel& kernel, std::span<const TensorView> inputs, std::span<const TensorView> outputs,
               const Arena* arena = nullptr);

  /// To be called after an interrupt: acknowledges it and submits commands that did not fit the ring. True when the
  /// call ended well; an error when a command failed, after which the driver needs `reset`.
  Result<bool> service();

  /// Soft reset, also with a call running; afterwards the next call may start. Fails when the accelerator does not come
  /// out of reset within a bounded number of reads, or is not the one that was opened any more.
  Status reset();

  const CallCounters& counters() const { return counters_; }
  /// Whether the traffic counters are read after each call, which takes some register accesses more.
  void count_traffic(bool enabled) { counts_traffic_ = enabled; }

  /// Gives back all that was kept in an arena, before its end. No call of it is running.
  void forget(const Arena& arena);

 protected:
  Driver(Device& device, DeviceMemory& memory) : device_(device), memory_(memory) {}
  /// Checks ID, version and layout hash, then sets the ring up. `kind` and `layout_hash` are those of the generated
  /// header; `title` is for messages. Call it once, before anything else.
  Status open(std::string_view title, std::uint32_t kind, std::uint32_t layout_hash);

  /// Values of the capability registers from the first up.
  template <std::size_t count>
  std::array<std::uint32_t, count> capabilities() const {
    std::array<std::uint32_t, count> values{};
    for (std::uint32_t i = 0; i < count; ++i) values[i] = device_.read32(page::capability0 + 4 * i);
    return values;
  }

  /// Commands of a call that `supports` accepted, in order; the base fills tag, interrupt flag and the slot.
  virtual Result<std::vector<CommandWords>> commands(const Kernel& kernel, std::span<const TensorView> inputs,
                                                     std::span<const TensorView> outputs) = 0;

  /// Gives back what the driver keeps in this memory.
  virtual void release_kept(const DeviceMemory& /*kept*/) {}

  /// Submits commands as one call; `service` tells their end.
  void submit(std::span<const CommandWords> commands);

  /// Where to keep what belongs to the call that is being started.
  DeviceMemory& kept() const { return arena_ == nullptr ? memory_ : arena_->kept; }

  Device& device_;
  DeviceMemory& memory_;

 private:
  static constexpr std::uint32_t ring_log2 = 6;

  static constexpr std::uint32_t ring_slots = 1U << ring_log2;

  Status check_identity() const;
  Status check_configuration() const;
  void set_up_ring();
  void set_window();
  void submit_pending();
  void read_traffic();
  Status collect_completions();
  /// Bytes of the ring's block before its first slot, whose address is a multiple of a slot's size.
  std::size_t ring_offset() const { return (slot_bytes - ring_.physical % slot_bytes) % slot_bytes; }
  std::byte* slot(std::uint32_t count) const { return ring_.data + ring_offset() + (count % ring_slots) * slot_bytes; }

  std::string title_;
  std::uint32_t kind_ = 0;
  std::uint32_t layout_hash_ = 0;
  std::uint32_t config_hash_ = 0;
  const Arena* arena_ = nullptr;  // of the call
  Block ring_;
  std::uint32_t head_ = 0;  // commands whose completion was seen
  std::uint32_t tail_ = 0;  // commands submitted
  std::deque<CommandWords> pending_;
  std::vector<Block> outputs_;
  bool running_ = false;
  bool failed_ = false;            // until the next reset
  std::uint32_t busy_before_ = 0;  // cycles_busy_lo when the call started
  bool counts_traffic_ = false;
  std::array<std::uint32_t, 4> traffic_{};  // its counters at the end of the last call
  CallCounters counters_;
};

/// Opens the driver for an accelerator of this kind (`c2d`), or says which kinds there are. Device and memory outlive
/// it.
Result<std::unique_ptr<Driver>> make_driver(std::string_view kind, Device& device, DeviceMemory& memory);

}  // namespace cosoc
