/// The C interface of a Verilated SoC (software/device/soc_model.h): clock, registers, memory, interrupts.
#include "device/soc_model.h"

#include <algorithm>
#include <memory>
#include <new>
#include <optional>

#include "cosoc/generated/page.hpp"
#include "rtl/ddr_model.hpp"
#include "soc_bindings.hpp"
#include "verilated.h"

namespace cosoc::sim {

namespace {

constexpr std::uint32_t reset_cycles = 8;
constexpr std::uint32_t bus_timeout = 10'000;
/// Cycles without memory traffic after which accelerators are asked whether they are busy; more than a doorbell takes
/// to show.
constexpr std::uint32_t quiet_cycles = 256;

std::vector<DdrModel::Manager> managers_of(const std::vector<AcceleratorPorts>& accelerators) {
  std::vector<DdrModel::Manager> managers;
  for (const AcceleratorPorts& accelerator : accelerators) {
    managers.insert(managers.end(), accelerator.memory.begin(), accelerator.memory.end());
  }
  return managers;
}

/// An accelerator is asleep while it is idle and nobody reads or writes its registers: nothing in it can change then,
/// so its clock is stopped, which saves the time to evaluate it.
class SocModel {
 public:
  SocModel(std::span<std::uint8_t> memory, std::uint64_t base, std::uint32_t latency)
      : top_(&context_),
        ports_(bind(top_)),
        awake_(ports_.size(), true),
        ddr_(memory, base, managers_of(ports_), {.latency = latency}) {
    top_.aresetn = 0;
    for (std::uint32_t cycle = 0; cycle < reset_cycles; ++cycle) tick();
    top_.aresetn = 1;
    tick();
    cycles_ = 0;
  }

  ~SocModel() { top_.final(); }
  SocModel(const SocModel&) = delete;
  SocModel& operator=(const SocModel&) = delete;

  const std::vector<AcceleratorPorts>& ports() const { return ports_; }
  std::uint64_t cycles() const { return cycles_; }

  std::optional<std::uint32_t> read(std::size_t index, std::uint32_t offset) {
    const SubordinatePorts& bus = ports_[index].registers;
    if (offset >> ports_[index].address_bits) return std::nullopt;
    const bool was_awake = awake_[index];
    awake_[index] = true;
    *bus.araddr = static_cast<std::uint16_t>(offset);
    *bus.arvalid = 1;
    *bus.rready = 1;
    std::optional<std::uint32_t> value;
    bool done = false;
    for (std::uint32_t cycle = 0; cycle < bus_timeout && !done; ++cycle) {
      settle();
      const bool address_taken = *bus.arvalid && *bus.arready;
      if (*bus.rvalid) {
        done = true;
        if (*bus.rresp == 0) value = *bus.rdata;
      }
      edge();
      if (address_taken) *bus.arvalid = 0;
    }
    *bus.arvalid = 0;
    *bus.rready = 0;
    awake_[index] = was_awake;
    return value;
  }

  bool write(std::size_t index, std::uint32_t offset, std::uint32_t value) {
    const SubordinatePorts& bus = ports_[index].registers;
    if (offset >> ports_[index].address_bits) return false;
    awake_[index] = true;
    *bus.awaddr = static_cast<std::uint16_t>(offset);
    *bus.wdata = value;
    *bus.wstrb = 0xF;
    *bus.awvalid = *bus.wvalid = *bus.bready = 1;
    bool okay = false;
    bool done = false;
    for (std::uint32_t cycle = 0; cycle < bus_timeout && !done; ++cycle) {
      settle();
      const bool address_taken = *bus.awvalid && *bus.awready;
      const bool data_taken = *bus.wvalid && *bus.wready;
      if (*bus.bvalid) {
        done = true;
        okay = *bus.bresp == 0;
      }
      edge();
      if (address_taken) *bus.awvalid = 0;
      if (data_taken) *bus.wvalid = 0;
    }
    *bus.awvalid = *bus.wvalid = *bus.bready = 0;
    return okay;
  }

  std::uint64_t run(std::uint64_t cycles) {
    const std::uint64_t end = cycles_ + std::min(cycles, ~std::uint64_t{0} - cycles_);
    std::uint32_t quiet = 0;
    while (interrupts() == 0 && cycles_ < end) {
      if (std::find(awake_.begin(), awake_.end(), true) == awake_.end()) {
        // Nothing happens until software writes a register, so these cycles need no simulation.
        cycles_ = end;
        break;
      }
      tick();
      quiet = ddr_.idle() ? quiet + 1 : 0;
      if (quiet == quiet_cycles) {
        let_idle_sleep();
        quiet = 0;
      }
    }
    return interrupts();
  }

 private:
  void settle() {
    ddr_.drive();
    for (const AcceleratorPorts& ports : ports_) *ports.clock = 0;
    top_.eval();
  }

  void edge() {
    ddr_.clock();
    for (std::size_t i = 0; i < ports_.size(); ++i) *ports_[i].clock = awake_[i];
    top_.eval();
    ++cycles_;
  }

  void tick() {
    settle();
    edge();
  }

  std::uint64_t interrupts() const {
    std::uint64_t mask = 0;
    for (std::size_t i = 0; i < ports_.size(); ++i) mask |= std::uint64_t{*ports_[i].interrupt} << i;
    return mask;
  }

  void let_idle_sleep() {
    for (std::size_t i = 0; i < ports_.size(); ++i) {
      if (!awake_[i]) continue;
      const std::optional<std::uint32_t> status = read(i, page::status);
      awake_[i] = !status || (*status & (page::status_busy | page::status_resetting)) != 0;
    }
  }

  VerilatedContext context_;
  SocTop top_;
  std::vector<AcceleratorPorts> ports_;
  std::vector<bool> awake_;  // one for each accelerator
  DdrModel ddr_;
  std::uint64_t cycles_ = 0;
};

}  // namespace

}  // namespace cosoc::sim

using cosoc::sim::SocModel;

struct cosoc_soc_model {
  cosoc_soc_model(std::uint8_t* memory, std::uint64_t base, std::uint64_t bytes, std::uint32_t latency)
      : model({memory, bytes}, base, latency) {}

  SocModel model;
};

std::uint32_t cosoc_soc_model_version(void) { return COSOC_SOC_MODEL_VERSION; }

cosoc_soc_model* cosoc_soc_model_create(std::uint8_t* memory, std::uint64_t memory_base, std::uint64_t memory_bytes,
                                        std::uint32_t memory_latency) {
  try {
    return std::make_unique<cosoc_soc_model>(memory, memory_base, memory_bytes, memory_latency).release();
  } catch (const std::bad_alloc&) {
    return nullptr;
  }
}

void cosoc_soc_model_destroy(cosoc_soc_model* model) { std::unique_ptr<cosoc_soc_model>{model}.reset(); }

const char* cosoc_soc_model_accelerator(const cosoc_soc_model* model, std::uint32_t index) {
  const auto& ports = model->model.ports();
  return index < ports.size() ? ports[index].name.data() : nullptr;
}

int cosoc_soc_model_read32(cosoc_soc_model* model, std::uint32_t index, std::uint32_t offset, std::uint32_t* value) {
  if (index >= model->model.ports().size()) return 1;
  const auto result = model->model.read(index, offset);
  if (result) *value = *result;
  return result ? 0 : 1;
}

int cosoc_soc_model_write32(cosoc_soc_model* model, std::uint32_t index, std::uint32_t offset, std::uint32_t value) {
  if (index >= model->model.ports().size()) return 1;
  return model->model.write(index, offset, value) ? 0 : 1;
}

std::uint64_t cosoc_soc_model_run(cosoc_soc_model* model, std::uint64_t cycles) { return model->model.run(cycles); }

std::uint64_t cosoc_soc_model_cycles(const cosoc_soc_model* model) { return model->model.cycles(); }
