/// The ports of one accelerator inside a Verilated SoC.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "rtl/ddr_model.hpp"

namespace cosoc::sim {

/// Signals of an AXI4-Lite subordinate with 32 bits of data.
struct SubordinatePorts {
  std::uint16_t* awaddr;
  std::uint8_t* awvalid;
  const std::uint8_t* awready;
  std::uint32_t* wdata;
  std::uint8_t* wstrb;
  std::uint8_t* wvalid;
  const std::uint8_t* wready;
  const std::uint8_t* bresp;
  const std::uint8_t* bvalid;
  std::uint8_t* bready;
  std::uint16_t* araddr;
  std::uint8_t* arvalid;
  const std::uint8_t* arready;
  const std::uint32_t* rdata;
  const std::uint8_t* rresp;
  const std::uint8_t* rvalid;
  std::uint8_t* rready;
};

struct AcceleratorPorts {
  std::string_view name;
  std::uint32_t address_bits;  // of the subordinate; a Verilated port must not be given more
  SubordinatePorts registers;
  std::vector<DdrModel::Manager> memory;
  const std::uint8_t* interrupt;
  std::uint8_t* clock;
};

}  // namespace cosoc::sim
