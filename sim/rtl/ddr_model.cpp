#include "rtl/ddr_model.hpp"

#include <algorithm>
#include <bit>
#include <cstring>

namespace cosoc::sim {

namespace {

constexpr std::uint8_t response_okay = 0;
constexpr std::uint8_t response_decode_error = 3;

/// 19.2 GB/s: what the DDR4 interface can do at most, the limit while nothing else is known of the traffic.
constexpr std::uint32_t peak = 64'000;

/// GB/s at 300 MHz as 1/1000 byte per cycle.
constexpr std::uint32_t per_cycle(double gigabytes_per_second) {
  return static_cast<std::uint32_t>(gigabytes_per_second * 1e9 / 300e6 * 1000);
}

/// 1/1000 bytes in a cycle in which these ports want to read, and these to write.
std::uint32_t refill(std::uint32_t reading, std::uint32_t writing) {
  const auto reads = static_cast<std::uint32_t>(std::popcount(reading));
  const auto writes = static_cast<std::uint32_t>(std::popcount(writing));
  if (reads + writes == 0) return peak;
  const Capacity capacity = DdrParameters::capacity(reading | writing);
  const std::uint32_t pure = reads >= writes ? capacity.read : capacity.write;
  // From one direction alone to both equally busy, capacity is taken to change linearly.
  const std::uint32_t minor = 2 * std::min(reads, writes);
  return (pure * (reads + writes - minor) + capacity.mixed * minor) / (reads + writes);
}

}  // namespace

Capacity DdrParameters::capacity(std::uint32_t busy_ports) {
  constexpr std::uint32_t hp1_hp2 = 0b0110;
  switch (std::popcount(busy_ports)) {
    case 0:
    case 1:
      return {per_cycle(4.76), per_cycle(4.80), per_cycle(9.33)};
    case 2:
      if (busy_ports == hp1_hp2) return {per_cycle(8.25), per_cycle(7.9), per_cycle(8.6)};
      return {per_cycle(9.46), per_cycle(9.60), per_cycle(12.6)};
    case 3:
      return {per_cycle(14.15), per_cycle(14.4), per_cycle(13.7)};
    default:
      return {per_cycle(12.9), per_cycle(12.0), per_cycle(11.9)};
  }
}

DdrModel::DdrModel(std::span<std::uint8_t> memory, std::uint64_t base, std::vector<Manager> managers,
                   DdrParameters parameters)
    : memory_(memory),
      base_(base),
      managers_(std::move(managers)),
      parameters_(parameters),
      responses_(managers_.size()) {
  constexpr std::uint32_t ports = (1U << memory_ports) - 1;
  for (std::uint32_t channels = 0; channels < refills_.size(); ++channels) {
    refills_[channels] = refill(channels & ports, channels >> memory_ports);
  }
}

/// The manager of this port whose address is taken in this cycle: the first in turn that asks, if there is room.
std::size_t DdrModel::offer_address(std::size_t port, bool read) const {
  const Port& state = ports_[port];
  if ((read ? state.reads : state.writes).size() >= parameters_.outstanding) return nobody;
  const std::size_t first = read ? state.next_read : state.next_write;
  for (std::size_t i = 0; i < managers_.size(); ++i) {
    const std::size_t manager = (first + i) % managers_.size();
    const ManagerPorts& signals = managers_[manager].ports;
    if (managers_[manager].memory_port == port && *(read ? signals.arvalid : signals.awvalid)) return manager;
  }
  return nobody;
}

std::uint32_t DdrModel::offer_read_beat(const Port& port) {
  if (!wants_to_read(port) || port.read_free >= (cycle_ + 1) * 1000) return 0;
  const Burst& burst = port.reads.front();
  const std::uint32_t bytes = managers_[burst.manager].beat_bytes;
  const ManagerPorts& signals = managers_[burst.manager].ports;
  *signals.rvalid = 1;
  *signals.rid = burst.id;
  *signals.rlast = burst.beats == 1;
  *signals.rresp = burst.error ? response_decode_error : response_okay;
  if (burst.error) {
    std::memset(signals.rdata, 0, bytes);
  } else {
    std::memcpy(signals.rdata, at(burst.address), bytes);
  }
  return bytes;
}

std::uint32_t DdrModel::offer_write_beat(const Port& port) {
  if (!wants_to_write(port)) return 0;
  const Manager& manager = managers_[port.writes.front().manager];
  *manager.ports.wready = 1;
  return manager.beat_bytes;
}

void DdrModel::drive() {
  for (const Manager& manager : managers_) {
    *manager.ports.arready = 0;
    *manager.ports.awready = 0;
    *manager.ports.rvalid = 0;
    *manager.ports.wready = 0;
    *manager.ports.bvalid = 0;
  }
  for (std::size_t port = 0; port < memory_ports; ++port) {
    // Addresses and data were stable since the last edge, so who is served in this cycle can be decided before the
    // managers settle.
    if (const std::size_t manager = offer_address(port, true); manager != nobody) *managers_[manager].ports.arready = 1;
    if (const std::size_t manager = offer_address(port, false); manager != nobody)
      *managers_[manager].ports.awready = 1;
  }
  // Where the memory cannot serve all channels that have a beat, they take turns: whoever comes after the last one that
  // was served is the next.
  std::uint64_t budget = budget_;
  const std::size_t first = next_channel_;
  for (std::size_t turn = 0; turn < 2 * memory_ports && budget >= widest_beat * byte_cost; ++turn) {
    const std::size_t channel = (first + turn) % (2 * memory_ports);
    const Port& port = ports_[channel / 2];
    const std::uint32_t bytes = channel % 2 == 0 ? offer_read_beat(port) : offer_write_beat(port);
    if (bytes == 0) continue;
    budget -= bytes * byte_cost;
    next_channel_ = (channel + 1) % (2 * memory_ports);
  }
  for (std::size_t manager = 0; manager < managers_.size(); ++manager) {
    if (responses_[manager].empty() || responses_[manager].front().due > cycle_) continue;
    const Burst& burst = responses_[manager].front();
    const ManagerPorts& signals = managers_[manager].ports;
    *signals.bvalid = 1;
    *signals.bid = burst.id;
    *signals.bresp = burst.error ? response_decode_error : response_okay;
  }
}

void DdrModel::clock() {
  for (std::size_t manager = 0; manager < managers_.size(); ++manager) {
    const ManagerPorts& signals = managers_[manager].ports;
    if (*signals.bvalid && *signals.bready) responses_[manager].pop_front();
  }
  for (std::size_t index = 0; index < memory_ports; ++index) {
    Port& port = ports_[index];
    // Data moves before addresses are taken: a burst's own address and first beat never share a cycle.
    if (!port.writes.empty()) take_write_beat(port);
    if (!port.reads.empty()) finish_read_beat(port);
    accept_addresses(index);
  }
  ++cycle_;
  refill_budget();
}

void DdrModel::accept_addresses(std::size_t index) {
  Port& port = ports_[index];
  for (std::size_t manager = 0; manager < managers_.size(); ++manager) {
    if (managers_[manager].memory_port != index) continue;
    const ManagerPorts& signals = managers_[manager].ports;
    const auto make = [&](std::uint8_t id, std::uint64_t address, std::uint8_t len) {
      const std::uint64_t bytes = (std::uint64_t{len} + 1) * managers_[manager].beat_bytes;
      const bool inside = address >= base_ && bytes <= memory_.size() && address - base_ <= memory_.size() - bytes;
      return Burst{manager, id, address, std::uint32_t{len} + 1, cycle_ + parameters_.latency, 0, !inside};
    };
    if (*signals.arvalid && *signals.arready) {
      port.reads.push_back(make(*signals.arid, *signals.araddr, *signals.arlen));
      port.next_read = manager + 1;
    }
    if (*signals.awvalid && *signals.awready) {
      port.writes.push_back(make(*signals.awid, *signals.awaddr, *signals.awlen));
      port.next_write = manager + 1;
    }
  }
}

void DdrModel::finish_read_beat(Port& port) {
  Burst& burst = port.reads.front();
  const std::uint32_t bytes = managers_[burst.manager].beat_bytes;
  const ManagerPorts& signals = managers_[burst.manager].ports;
  if (!*signals.rvalid || !*signals.rready) return;
  // Overheads are fractions of a cycle, so the channel's time is kept finer than the clock.
  if (burst.begun == 0) burst.begun = std::max(cycle_ * 1000, port.read_free);
  budget_ -= std::min<std::uint64_t>(budget_, bytes * byte_cost);
  bytes_read_ += bytes;
  burst.address += bytes;
  if (--burst.beats > 0) return;
  const std::uint64_t end = (cycle_ + 1) * 1000 + burst.begun % 1000;
  port.read_free = std::max(end + parameters_.read_overhead, burst.begun + parameters_.read_minimum);
  port.reads.pop_front();
}

void DdrModel::take_write_beat(Port& port) {
  Burst& burst = port.writes.front();
  const std::uint32_t bytes = managers_[burst.manager].beat_bytes;
  const ManagerPorts& signals = managers_[burst.manager].ports;
  if (!*signals.wvalid || !*signals.wready) return;
  budget_ -= std::min<std::uint64_t>(budget_, bytes * byte_cost);
  bytes_written_ += bytes;
  if (!burst.error) {
    std::array<std::uint8_t, widest_beat> data;
    std::memcpy(data.data(), signals.wdata, bytes);
    std::uint16_t strobe = 0;
    std::memcpy(&strobe, signals.wstrb, bytes == widest_beat ? 2 : 1);
    std::uint8_t* target = at(burst.address);
    for (std::uint32_t i = 0; i < bytes; ++i) {
      if (strobe >> i & 1) target[i] = data[i];
    }
  }
  burst.address += bytes;
  if (--burst.beats > 0) return;
  burst.due = cycle_ + parameters_.latency;
  responses_[burst.manager].push_back(burst);
  port.writes.pop_front();
}

void DdrModel::refill_budget() {
  std::uint32_t channels = 0;
  for (std::size_t index = 0; index < memory_ports; ++index) {
    Port& port = ports_[index];
    if (wants_to_read(port)) port.reads_until = cycle_ + lately_cycles;
    if (wants_to_write(port)) port.writes_until = cycle_ + lately_cycles;
    if (cycle_ < port.reads_until) channels |= 1U << index;
    if (cycle_ < port.writes_until) channels |= 1U << (memory_ports + index);
  }
  // A short burst of beats may exceed the average; the depth of the controller's queues bounds it.
  constexpr std::uint64_t most = 16 * widest_beat * byte_cost;
  budget_ = std::min(budget_ + refills_[channels], most);
}

bool DdrModel::idle() const {
  const auto empty = [](const Port& port) { return port.reads.empty() && port.writes.empty(); };
  return std::all_of(ports_.begin(), ports_.end(), empty) &&
         std::all_of(responses_.begin(), responses_.end(), [](const auto& queue) { return queue.empty(); });
}

std::uint8_t* DdrModel::at(std::uint64_t address) { return memory_.data() + (address - base_); }

}  // namespace cosoc::sim
