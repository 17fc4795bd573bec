/// Plain reads and writes under the DDR model: what its ports can do at most.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <vector>

#include "rtl/ddr_model.hpp"

namespace cosoc::bench {

/// Beats of 16 bytes.
struct Traffic {
  std::uint64_t reads = 0;
  std::uint64_t writes = 0;
};

/// Bursts of reads and writes on a port, as fast as memory takes them, the writes at the pace of the reads.
class PlainStream {
 public:
  static constexpr std::uint64_t burst_beats = 16;

  explicit PlainStream(Traffic traffic) : total_(traffic), left_(traffic) {}

  sim::ManagerPorts ports() {
    return {&id_,     &address_, &len_,    &arvalid_, &arready_, &rid_,     rdata_.data(), &rresp_,       &rlast_,
            &rvalid_, &one_,     &id_,     &address_, &len_,     &awvalid_, &awready_,     wdata_.data(), &strobe_,
            &wlast_,  &wvalid_,  &wready_, &bid_,     &bresp_,   &bvalid_,  &one_};
  }

  /// Before memory says what it does in a cycle.
  void offer() {
    const bool in_pace = (total_.writes - left_.writes) * total_.reads <= done_.reads * total_.writes;
    arvalid_ = left_.reads > 0 ? 1 : 0;
    awvalid_ = left_.writes > 0 && in_pace ? 1 : 0;
    wvalid_ = beats_ > 0 ? 1 : 0;
    wlast_ = beats_ % burst_beats == 1 ? 1 : 0;
  }

  /// After it has said so.
  void advance() {
    if (arvalid_ && arready_) left_.reads -= burst_beats;
    if (rvalid_) ++done_.reads;
    if (wvalid_ && wready_) --beats_;
    if (awvalid_ && awready_) {
      left_.writes -= burst_beats;
      beats_ += burst_beats;
    }
    if (bvalid_) done_.writes += burst_beats;
  }

  bool done() const { return done_.reads == total_.reads && done_.writes == total_.writes; }

 private:
  Traffic total_, left_, done_;
  std::uint64_t beats_ = 0;  // of writes whose address is taken
  std::uint64_t address_ = 0;
  std::array<std::uint32_t, 4> rdata_{}, wdata_{};
  std::uint16_t strobe_ = 0xFFFF;
  std::uint8_t id_ = 0, len_ = burst_beats - 1, one_ = 1;
  std::uint8_t arvalid_ = 0, arready_ = 0, rid_ = 0, rresp_ = 0, rlast_ = 0, rvalid_ = 0;
  std::uint8_t awvalid_ = 0, awready_ = 0, wlast_ = 0, wvalid_ = 0, wready_ = 0, bid_ = 0, bresp_ = 0, bvalid_ = 0;
};

/// Cycles of this traffic, shared by these ports.
inline std::uint64_t plain_cycles(Traffic traffic, const std::vector<std::size_t>& ports) {
  const auto share = [&](std::uint64_t beats) {
    return beats / ports.size() / PlainStream::burst_beats * PlainStream::burst_beats;
  };
  std::vector<std::uint8_t> memory(4096);
  std::vector<PlainStream> streams(ports.size(), PlainStream({share(traffic.reads), share(traffic.writes)}));
  std::vector<sim::DdrModel::Manager> managers;
  for (std::size_t i = 0; i < ports.size(); ++i) managers.push_back({streams[i].ports(), ports[i]});
  sim::DdrModel ddr(memory, 0, managers);
  std::uint64_t cycles = 0;
  for (; !std::ranges::all_of(streams, &PlainStream::done); ++cycles) {
    for (PlainStream& stream : streams) stream.offer();
    ddr.drive();
    for (PlainStream& stream : streams) stream.advance();
    ddr.clock();
  }
  return cycles;
}

/// Cycles that this traffic adds, in the middle of a long run of such.
inline double plain_limit(Traffic traffic, const std::vector<std::size_t>& ports) {
  constexpr std::uint64_t few = 32, many = 96;
  const auto cycles = [&](std::uint64_t count) {
    return static_cast<double>(plain_cycles({traffic.reads * count, traffic.writes * count}, ports));
  };
  return (cycles(many) - cycles(few)) / (many - few);
}

}  // namespace cosoc::bench
