/// What lies under the scheduler: device memory, accelerators, and how time passes.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "device/device.hpp"
#include "device/memory.hpp"
#include "device/result.hpp"

namespace cosoc {

using Time = std::chrono::nanoseconds;

/// One accelerator of a SoC, as `soc.json` describes it.
struct AcceleratorDescription {
  std::string name;  // c2d0
  std::string kind;  // c2d
  std::uint64_t base = 0;
  std::uint64_t range = 0;
  std::uint32_t interrupt = 0;
  std::vector<std::string> memory_ports;  // HP0, of each manager
  std::uint32_t config_hash = 0;
  std::map<std::string, std::uint32_t> config;  // parameters by name
};

/// A SoC, as the build wrote it to `soc.json`.
struct SoCDescription {
  std::string board;
  std::uint64_t clock_hz = 0;
  std::uint32_t cpu_cores = 0;
  std::uint64_t memory_base = 0;
  std::uint64_t memory_bytes = 0;
  Time memory_latency{150};  // from a read address to the first word, in the models of the SoC
  std::vector<AcceleratorDescription> accelerators;
  std::filesystem::path rtl_library;  // empty when the RTL was not built; absolute otherwise

  /// Reads `soc.json`, or the one in a directory.
  static Result<SoCDescription> load(const std::filesystem::path& path);

  /// Rounds up, so that time never precedes the clock edge.
  Time cycles_to_time(std::uint64_t cycles) const;
  /// `memory_latency` in clock cycles, rounded up.
  std::uint64_t memory_latency_cycles() const;
};

/// Memory and accelerators of one SoC. Accelerator `i` is that of `SoCDescription::accelerators[i]`.
class Platform {
 public:
  Platform() = default;
  virtual ~Platform() = default;
  Platform(const Platform&) = delete;
  Platform& operator=(const Platform&) = delete;

  virtual DeviceMemory& memory() = 0;
  virtual std::size_t accelerator_count() const = 0;
  virtual Device& accelerator(std::size_t index) = 0;
};

/// A platform on the wall clock: interrupts wake threads.
class WallClockPlatform : public Platform {
 public:
  /// Blocks until the accelerator's interrupt or the timeout; true when it was the interrupt.
  virtual Result<bool> wait_interrupt(std::size_t index, Time timeout) = 0;
};

/// A platform in simulated time: time passes only in `advance`.
class SimulatedPlatform : public Platform {
 public:
  /// Time since the platform was made.
  virtual Time now() const = 0;
  /// Lets time pass until `limit` or until an accelerator's interrupt line is high, whichever comes first; the index of
  /// the lowest such accelerator, or nothing at the limit. Does not pass any time when a line is high already.
  virtual Result<std::optional<std::size_t>> advance(Time limit) = 0;
};

/// CPU cores and plain memory, no accelerator (mode `cpu`).
std::unique_ptr<WallClockPlatform> make_cpu_platform(std::size_t memory_bytes);
/// Bit-exact models of the accelerators with modelled durations (mode `functional`).
Result<std::unique_ptr<SimulatedPlatform>> make_functional_platform(const SoCDescription& soc);
/// The Verilated SoC in `soc.rtl_library` (mode `rtl`).
Result<std::unique_ptr<SimulatedPlatform>> make_rtl_platform(const SoCDescription& soc);
/// Accelerators through Linux UIO, memory through u-dma-buf (mode `board`). `devices` is /dev and `sysfs` is /sys,
/// unless a test supplies others.
Result<std::unique_ptr<WallClockPlatform>> make_uio_platform(const SoCDescription& soc,
                                                             const std::filesystem::path& devices = "/dev",
                                                             const std::filesystem::path& sysfs = "/sys");

}  // namespace cosoc
