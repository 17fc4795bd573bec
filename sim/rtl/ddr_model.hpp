/// DDR memory behind the AXI ports of a processing system, one clock cycle at a time.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <span>
#include <vector>

namespace cosoc::sim {

/// Signals of one AXI4 manager, as pointers into the model that drives them; the types of data and strobes depend on
/// its width.
struct ManagerPorts {
  const std::uint8_t* arid;
  const std::uint64_t* araddr;
  const std::uint8_t* arlen;
  const std::uint8_t* arvalid;
  std::uint8_t* arready;
  std::uint8_t* rid;
  void* rdata;
  std::uint8_t* rresp;
  std::uint8_t* rlast;
  std::uint8_t* rvalid;
  const std::uint8_t* rready;
  const std::uint8_t* awid;
  const std::uint64_t* awaddr;
  const std::uint8_t* awlen;
  const std::uint8_t* awvalid;
  std::uint8_t* awready;
  const void* wdata;
  const void* wstrb;
  const std::uint8_t* wlast;
  const std::uint8_t* wvalid;
  std::uint8_t* wready;
  std::uint8_t* bid;
  std::uint8_t* bresp;
  std::uint8_t* bvalid;
  const std::uint8_t* bready;
};

/// Number of memory ports that accelerators can use: HP0..HP3 of the ZCU102.
inline constexpr std::size_t memory_ports = 4;

/// Throughput in bytes per clock cycle when these ports are busy, as multiples of 1/1000.
struct Capacity {
  std::uint32_t read;
  std::uint32_t write;
  std::uint32_t mixed;  // half of the beats read, half written
};

/// What is known of the memory system. The defaults are the ZCU102 with 128-bit ports at 300 MHz.
struct DdrParameters {
  /// Cycles from an accepted read address to its first beat, and from the last write beat to the response: 150 ns, an
  /// estimate.
  std::uint32_t latency = 45;
  /// A read burst keeps its port busy for its beats and this, in 1/1000 cycle ...
  std::uint32_t read_overhead = 200;
  /// ... but at least for this. Both are fitted to the measured 4.76, 4.49 and 1.16 GB/s at bursts of 256, 64 and 16
  /// bytes.
  std::uint32_t read_minimum = 4138;
  /// Bursts that a port accepts before it must finish one, in each direction.
  std::uint32_t outstanding = 16;

  /// Throughput for a set of busy ports, bit i for HPi. The ZCU102's measured table (ZynqUSp-AXI-Speedtest, FPT 2019);
  /// sets that were not measured are taken from the most similar one.
  static Capacity capacity(std::uint32_t busy_ports);
};

/// The memory and its ports. Several managers may share a port; bursts of a port are served in the order of their
/// addresses, one beat of their manager in each direction per cycle: what a manager of less than 128 bits leaves of a
/// cycle is lost. What all ports together can move in a cycle follows from the ports and directions that had a beat to
/// move lately.
///
/// Each cycle: `drive()` sets what the memory says in this cycle, then the managers settle, then `clock()` samples
/// them.
class DdrModel {
 public:
  struct Manager {
    ManagerPorts ports;
    std::size_t memory_port;
    std::uint32_t beat_bytes = 16;  // 4, 8 or 16
  };

  /// `memory` lies at bus address `base`; accesses outside are answered with DECERR.
  DdrModel(std::span<std::uint8_t> memory, std::uint64_t base, std::vector<Manager> managers,
           DdrParameters parameters = {});

  void drive();
  void clock();

  /// True when no burst is accepted and unanswered.
  bool idle() const;
  std::uint64_t bytes_read() const { return bytes_read_; }
  std::uint64_t bytes_written() const { return bytes_written_; }

 private:
  struct Burst {
    std::size_t manager;
    std::uint8_t id;
    std::uint64_t address;
    std::uint32_t beats;  // that are left
    std::uint64_t due;    // cycle
    std::uint64_t begun;  // 1/1000 cycle, of the first beat
    bool error;
  };

  struct Port {
    std::deque<Burst> reads;
    std::deque<Burst> writes;
    std::uint64_t read_free = 0;  // 1/1000 cycle in which the read channel can begin a burst
    std::size_t next_read = 0;    // manager that is asked first, for fairness
    std::size_t next_write = 0;
    std::uint64_t reads_until = 0;  // cycle from which on it has not wanted to read lately
    std::uint64_t writes_until = 0;
  };

  static constexpr std::uint64_t lately_cycles = 32;
  static constexpr std::uint32_t widest_beat = 16;
  static constexpr std::uint32_t byte_cost = 1000;

  std::size_t offer_address(std::size_t port, bool read) const;
  std::uint32_t offer_read_beat(const Port& port);   // its bytes, 0 for none
  std::uint32_t offer_write_beat(const Port& port);  // likewise
  void accept_addresses(std::size_t port);
  void finish_read_beat(Port& port);
  void take_write_beat(Port& port);
  bool wants_to_read(const Port& port) const { return !port.reads.empty() && port.reads.front().due <= cycle_; }
  bool wants_to_write(const Port& port) const {
    return !port.writes.empty() && *managers_[port.writes.front().manager].ports.wvalid;
  }
  void refill_budget();
  std::uint8_t* at(std::uint64_t address);

  std::span<std::uint8_t> memory_;
  std::uint64_t base_;
  std::vector<Manager> managers_;
  DdrParameters parameters_;
  std::array<Port, memory_ports> ports_;
  std::vector<std::deque<Burst>> responses_;  // per manager
  std::size_t next_channel_ = 0;              // 2 * port, and 1 more for writes
  std::uint64_t cycle_ = 0;
  std::uint64_t budget_ = 0;  // 1/1000 byte
  std::array<std::uint32_t, std::size_t{1} << 2 * memory_ports>
      refills_;  // per cycle, by the channels that want to move
  std::uint64_t bytes_read_ = 0;
  std::uint64_t bytes_written_ = 0;
  static constexpr std::size_t nobody = ~std::size_t{0};
};

}  // namespace cosoc::sim
