/// The seam below the drivers: one accelerator instance, whatever it is made of.
#pragma once

#include <cstdint>

namespace cosoc {

/// Registers of one accelerator: UIO on a board, Verilated RTL, or the functional model.
class Device {
 public:
  Device() = default;
  virtual ~Device() = default;
  Device(const Device&) = delete;
  Device& operator=(const Device&) = delete;

  /// Reads the register at a byte offset inside the block.
  virtual std::uint32_t read32(std::uint32_t offset) = 0;
  /// Writes the register at a byte offset inside the block.
  virtual void write32(std::uint32_t offset, std::uint32_t value) = 0;
};

}  // namespace cosoc
