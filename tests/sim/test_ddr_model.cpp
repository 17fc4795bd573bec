// The DDR model against the bandwidth table measured on the ZCU102.
#include <array>
#include <catch2/catch.hpp>
#include <cstdint>
#include <cstring>
#include <deque>
#include <memory>
#include <random>
#include <vector>

#include "rtl/ddr_model.hpp"

using cosoc::sim::DdrModel;
using cosoc::sim::ManagerPorts;

namespace {

constexpr std::uint64_t base = 0x1000'0000;

/// A manager that reads or writes one burst after another, as fast as the memory lets it.
struct Traffic {
  std::uint8_t arid = 0, arlen = 0, arvalid = 0, arready = 0, rid = 0, rresp = 0, rlast = 0, rvalid = 0, rready = 1;
  std::uint8_t awid = 0, awlen = 0, awvalid = 0, awready = 0, wlast = 0, wvalid = 0, wready = 0, bid = 0, bresp = 0,
               bvalid = 0, bready = 1;
  std::uint64_t araddr = base, awaddr = base;
  std::uint16_t wstrb = 0xFFFF;
  std::array<std::uint32_t, 4> rdata{}, wdata{};

  bool reads = false, writes = false;
  std::uint32_t beats = 16, beat = 0, beats_read = 0, beats_written = 0, responses = 0, errors = 0;
  std::vector<std::uint32_t> first_words;

  ManagerPorts ports() {
    return {&arid,   &araddr, &arlen,  &arvalid, &arready, &rid,     &rdata[0], &rresp,    &rlast,
            &rvalid, &rready, &awid,   &awaddr,  &awlen,   &awvalid, &awready,  &wdata[0], &wstrb,
            &wlast,  &wvalid, &wready, &bid,     &bresp,   &bvalid,  &bready};
  }

  void begin() {
    arlen = awlen = static_cast<std::uint8_t>(beats - 1);
    arvalid = reads;
    awvalid = wvalid = writes;
    wlast = beats == 1;
  }

  /// What the manager's registers do at the clock edge.
  void edge() {
    if (rvalid && rready) {
      ++beats_read;
      errors += rresp != 0;
      first_words.push_back(rdata[0]);
    }
    if (bvalid) {
      ++responses;
      errors += bresp != 0;
    }
    if (wvalid && wready) {
      ++beats_written;
      beat = (beat + 1) % beats;
      wlast = beat == beats - 1;
    }
  }
};

struct Bench {
  std::vector<std::uint8_t> memory = std::vector<std::uint8_t>(1 << 20);
  std::vector<std::unique_ptr<Traffic>> traffic;
  std::unique_ptr<DdrModel> model;

  void connect(const std::vector<std::size_t>& ports, std::uint32_t beat_bytes = 16) {
    std::vector<DdrModel::Manager> managers;
    for (const std::size_t port : ports) {
      traffic.push_back(std::make_unique<Traffic>());
      managers.push_back({traffic.back()->ports(), port, beat_bytes});
    }
    model = std::make_unique<DdrModel>(memory, base, managers);
  }

  void run(std::uint32_t cycles) {
    for (std::uint32_t cycle = 0; cycle < cycles; ++cycle) {
      model->drive();
      model->clock();
      for (auto& manager : traffic) manager->edge();
    }
  }

  double gigabytes_per_second(std::uint32_t cycles) const {
    std::uint64_t beats = 0;
    for (const auto& manager : traffic) beats += manager->beats_read + manager->beats_written;
    return static_cast<double>(beats) * 16 * 300e6 / cycles / 1e9;
  }
};

double measure(const std::vector<std::size_t>& ports, bool reads, bool writes, std::uint32_t beats) {
  Bench bench;
  bench.connect(ports);
  for (auto& manager : bench.traffic) {
    manager->reads = reads;
    manager->writes = writes;
    manager->beats = beats;
    manager->begin();
  }
  constexpr std::uint32_t cycles = 100'000;
  bench.run(cycles);
  return bench.gigabytes_per_second(cycles);
}

}  // namespace

TEST_CASE("bandwidth equals the measured table within 3%") {
  struct Row {
    std::vector<std::size_t> ports;
    bool reads, writes;
    std::uint32_t beats;
    double expected;
  };
  const Row rows[] = {
      {{0}, true, false, 16, 4.76},          {{0}, true, false, 4, 4.49},
      {{0}, true, false, 1, 1.16},           {{0}, false, true, 16, 4.80},
      {{0}, true, true, 16, 9.33},           {{0, 3}, true, false, 16, 9.46},
      {{0, 3}, false, true, 16, 9.60},       {{0, 3}, true, true, 16, 12.6},
      {{1, 2}, true, false, 16, 8.25},       {{1, 2}, false, true, 16, 7.9},
      {{1, 2}, true, true, 16, 8.6},         {{0, 1, 3}, true, false, 16, 14.15},
      {{0, 1, 3}, false, true, 16, 14.4},    {{0, 1, 3}, true, true, 16, 13.7},
      {{0, 1, 2, 3}, true, false, 16, 12.9}, {{0, 1, 2, 3}, false, true, 16, 12.0},
      {{0, 1, 2, 3}, true, true, 16, 11.9},
  };
  for (const Row& row : rows) {
    CAPTURE(row.ports, row.reads, row.writes, row.beats);
    CHECK(measure(row.ports, row.reads, row.writes, row.beats) == Approx(row.expected).epsilon(0.03));
  }
}

TEST_CASE("managers that share a port share its bandwidth") {
  Bench bench;
  bench.connect({0, 0});
  for (auto& manager : bench.traffic) {
    manager->reads = true;
    manager->begin();
  }
  bench.run(20'000);
  CHECK(bench.gigabytes_per_second(20'000) == Approx(4.76).epsilon(0.03));
  CHECK(bench.traffic[0]->beats_read == Approx(bench.traffic[1]->beats_read).epsilon(0.02));
}

TEST_CASE("ports and directions that want more than there is get equal parts") {
  Bench bench;
  bench.connect({0, 3});
  for (auto& manager : bench.traffic) {
    manager->reads = manager->writes = true;
    manager->begin();
  }
  bench.run(20'000);
  CHECK(bench.gigabytes_per_second(20'000) == Approx(12.6).epsilon(0.03));
  const std::uint32_t part = bench.traffic[0]->beats_read;
  CHECK(bench.traffic[0]->beats_written == Approx(part).epsilon(0.02));
  CHECK(bench.traffic[1]->beats_read == Approx(part).epsilon(0.02));
  CHECK(bench.traffic[1]->beats_written == Approx(part).epsilon(0.02));
}

TEST_CASE("a manager of less than 128 bits moves fewer bytes per cycle") {
  const std::uint32_t beat_bytes = GENERATE(4, 8);
  Bench bench;
  bench.connect({0, 3}, beat_bytes);
  for (auto& manager : bench.traffic) {
    manager->reads = manager->writes = true;
    manager->beats = 64;
    manager->begin();
  }
  bench.run(20'000);
  // Both directions of both ports, without a limit by the memory; a read burst takes 0.2 cycles more than its beats.
  for (const auto& manager : bench.traffic) {
    CHECK(manager->beats_read == Approx(20'000 * 64 / 64.2).epsilon(0.01));
    CHECK(manager->beats_written == Approx(20'000).epsilon(0.01));
  }
  const std::uint64_t beats = bench.traffic[0]->beats_read + bench.traffic[1]->beats_read;
  CHECK(bench.model->bytes_read() == beats * beat_bytes);
}

TEST_CASE("narrow data is read in order and written under its strobes") {
  Bench bench;
  for (std::uint32_t i = 0; i < 64; ++i) std::memcpy(&bench.memory[i * 8], &i, 4);
  bench.connect({0}, 8);
  Traffic& manager = *bench.traffic[0];
  manager.reads = manager.writes = true;
  manager.beats = 2;
  manager.awaddr = base + 48;
  manager.wstrb = 0x00F0;
  manager.wdata = {1, 2, 3, 4};
  manager.begin();
  bench.run(1);
  manager.arvalid = manager.awvalid = 0;
  bench.run(2);
  manager.wvalid = 0;
  bench.run(100);
  CHECK(manager.first_words == std::vector<std::uint32_t>{0, 1});
  std::array<std::uint32_t, 5> words;
  std::memcpy(words.data(), &bench.memory[48], 20);
  CHECK(words == std::array<std::uint32_t, 5>{6, 2, 7, 2, 8});
  CHECK(manager.responses == 1);
  CHECK(manager.errors == 0);
}

TEST_CASE("the first beat comes after the latency") {
  Bench bench;
  bench.connect({0});
  bench.traffic[0]->reads = true;
  bench.traffic[0]->begin();
  bench.run(45);
  CHECK(bench.traffic[0]->beats_read == 0);
  bench.run(1);
  CHECK(bench.traffic[0]->beats_read == 1);
}

TEST_CASE("data is read in order and written under its strobes") {
  Bench bench;
  for (std::uint32_t i = 0; i < 64; ++i) std::memcpy(&bench.memory[i * 16], &i, 4);
  bench.connect({0});
  Traffic& manager = *bench.traffic[0];
  manager.reads = true;
  manager.beats = 4;
  manager.begin();
  bench.run(1);
  manager.arvalid = 0;
  bench.run(100);
  CHECK(manager.first_words == std::vector<std::uint32_t>{0, 1, 2, 3});

  manager.writes = true;
  manager.beats = 1;
  manager.awaddr = base + 32;
  manager.wstrb = 0x00F0;
  manager.wdata = {1, 2, 3, 4};
  manager.begin();
  manager.arvalid = 0;
  bench.run(1);
  manager.awvalid = 0;
  bench.run(1);
  manager.wvalid = 0;
  bench.run(100);
  std::array<std::uint32_t, 4> words;
  std::memcpy(words.data(), &bench.memory[32], 16);
  CHECK(words == std::array<std::uint32_t, 4>{2, 2, 0, 0});
  CHECK(manager.responses == 1);
  CHECK(manager.errors == 0);
  CHECK(bench.model->idle());
}

TEST_CASE("an access outside the memory is answered with an error and changes nothing") {
  const std::uint64_t address = GENERATE(base - 16, base + (1 << 20) - 16, std::uint64_t{0}, ~std::uint64_t{15});
  Bench bench;
  const std::vector<std::uint8_t> before = bench.memory;
  bench.connect({2});
  Traffic& manager = *bench.traffic[0];
  manager.reads = manager.writes = true;
  manager.beats = 2;
  manager.araddr = manager.awaddr = address;
  manager.wdata = {~0U, ~0U, ~0U, ~0U};
  manager.begin();
  bench.run(1);
  manager.arvalid = manager.awvalid = 0;
  bench.run(2);
  manager.wvalid = 0;
  bench.run(200);
  CHECK(manager.errors == 3);  // two beats and a response
  CHECK(bench.memory == before);
}
