/// What an accelerator computes, without registers and time.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "cosoc/generated/page.hpp"
#include "device/memory.hpp"
#include "device/platform.hpp"

namespace cosoc {

/// Memory as one command's transfers see it: inside the address window and on the bus, or not. Counts beats.
class CommandMemory {
 public:
  /// The window is [base, limit], both ends included; `latency` is in cycles, from a read address to its first beat.
  CommandMemory(const DeviceMemory& memory, std::uint64_t base, std::uint64_t limit, std::uint64_t latency = 45)
      : memory_(memory), base_(base), limit_(limit), latency_(latency) {}

  /// Bytes to read; empty when the transfer fails.
  std::span<const std::byte> read(std::uint64_t address, std::uint64_t size);
  /// Bytes to write; empty when the transfer fails.
  std::span<std::byte> write(std::uint64_t address, std::uint64_t size);

  std::uint64_t latency() const { return latency_; }
  /// Error of the first failed transfer.
  ErrorCode error() const { return error_; }
  std::uint64_t beats_read() const { return beats_read_; }
  std::uint64_t beats_written() const { return beats_written_; }

 private:
  std::span<std::byte> transfer(std::uint64_t address, std::uint64_t size, ErrorCode bus_error);

  const DeviceMemory& memory_;
  std::uint64_t base_;
  std::uint64_t limit_;
  std::uint64_t latency_;
  ErrorCode error_ = ErrorCode::none;
  std::uint64_t beats_read_ = 0;
  std::uint64_t beats_written_ = 0;
};

/// Result of one command.
struct Execution {
  ErrorCode error = ErrorCode::none;
  std::uint64_t cycles = 0;         // on an idle accelerator
  std::uint64_t queued_cycles = 0;  // more than what the commands before it take
};

/// An accelerator's behaviour, bit for bit that of its RTL.
class FunctionalModel {
 public:
  FunctionalModel() = default;
  virtual ~FunctionalModel() = default;
  FunctionalModel(const FunctionalModel&) = delete;
  FunctionalModel& operator=(const FunctionalModel&) = delete;

  /// Performs a command, or refuses it with the error that the hardware gives. Errors of transfers are in `memory`.
  virtual Execution execute(const CommandWords& command, CommandMemory& memory) = 0;
};

/// The identity that an accelerator's registers show.
struct Identity {
  std::uint32_t kind = 0;
  std::uint32_t layout_hash = 0;
  std::uint32_t config_hash = 0;
  std::vector<std::uint32_t> capabilities;  // the first registers; the others are zero
};

struct IdentifiedModel {
  Identity identity;
  std::unique_ptr<FunctionalModel> model;
};

/// The model of a described accelerator.
Result<IdentifiedModel> make_functional_model(const AcceleratorDescription& description);

}  // namespace cosoc
