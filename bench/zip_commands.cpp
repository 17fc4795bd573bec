/// Queues of ZIP commands on the RTL, what plain streams of the same size take, and times of the CPU kernel.
///
///   zip-commands BUILD
///
/// A line of JSON per operation and length: cycles that a queued command adds, cycles of one alone, the functional
/// model's figures beside them, and the cycles of plain reads and writes of as many bytes under the same memory model;
/// then a line per operation with nanoseconds per element of the CPU kernel and of a plain loop.
#include <chrono>
#include <complex>
#include <cstring>
#include <functional>
#include <iostream>
#include <nlohmann/json.hpp>
#include <vector>

#include "cosoc/generated/page.hpp"
#include "cosoc/generated/zip.hpp"
#include "device/platform.hpp"
#include "drivers/zip/cycles.hpp"
#include "drivers/zip/format.hpp"
#include "kernels/zip.hpp"
#include "kernels/zip_integers.hpp"
#include "rtl/ddr_model.hpp"
#include "support/plain_streams.hpp"

namespace {

using namespace cosoc;

constexpr std::uint32_t ring_log2 = 6;
constexpr std::uint64_t ring_bytes = slot_bytes << ring_log2;

/// What is measured: an operation on vectors of some length.
struct Case {
  const char* name;
  ZIPKind kind;
  std::uint16_t b_length = 0;
  bool constant = false;
};
const std::vector<Case> cases = {{"add", ZIPKind::add},
                                 {"sub", ZIPKind::sub},
                                 {"mul", ZIPKind::mul},
                                 {"div", ZIPKind::div},
                                 {"conjugate_mul", ZIPKind::conjugate_mul},
                                 {"multiply_add", ZIPKind::multiply_add},
                                 {"conjugate_multiply_add", ZIPKind::conjugate_multiply_add},
                                 {"magnitude_squared", ZIPKind::magnitude_squared},
                                 {"magnitude", ZIPKind::magnitude},
                                 {"scale", ZIPKind::mul, 0, true},
                                 {"repeat", ZIPKind::mul, 64},
                                 {"real_add", ZIPKind::real_add},
                                 {"real_sub", ZIPKind::real_sub},
                                 {"real_mul", ZIPKind::real_mul},
                                 {"real_div", ZIPKind::real_div},
                                 {"real_multiply_add", ZIPKind::real_multiply_add}};

/// What a command moves.
bench::Traffic traffic_of(const zip::Config& config, const zip::Command& command) {
  const zip::Shape shape = zip::shape_of(config, command);
  const auto beats = [](std::uint64_t bytes) { return (bytes + 15) / 16; };
  const std::uint64_t operand = beats(command.length * shape.element_bytes);
  const std::uint64_t b = shape.repeats ? beats(command.b_length * shape.element_bytes) : operand;
  return {operand * (shape.with_c ? 2 : 1) + (shape.with_b ? b : 0), beats(command.length * shape.result_bytes)};
}

/// The first ZIP of a SoC in RTL, with a ring.
class Zip {
 public:
  explicit Zip(const SoCDescription& soc) : platform_(make_rtl_platform(soc).value()) {
    while (soc.accelerators[index_].kind != zip::name) ++index_;
    const AcceleratorDescription& accelerator = soc.accelerators[index_];
    std::array<std::uint32_t, zip::Config::names.size()> values{};
    for (std::size_t i = 0; i < values.size(); ++i)
      values[i] = accelerator.config.at(std::string(zip::Config::names[i]));
    config = zip::Config::from(values);
    for (const std::string& port : accelerator.memory_ports) ports.push_back(static_cast<std::size_t>(port[2] - '0'));
    ring_ = platform_->memory().allocate(ring_bytes).value();
    vectors_ = platform_->memory().allocate(std::size_t{8} << 20).value();
    std::memset(vectors_.data, 0, std::size_t{8} << 20);
  }

  zip::Config config{};
  std::vector<std::size_t> ports;

  /// Cycles in which the accelerator was busy with commands like this one, submitted at once; vectors lie one behind
  /// the other.
  std::uint64_t run(zip::Command command, std::uint32_t count) {
    Device& device = platform_->accelerator(index_);
    device.write32(page::control, page::control_reset);
    while ((device.read32(page::control) & page::control_reset) != 0) {
    }
    const zip::Shape shape = zip::shape_of(config, command);
    const std::uint64_t bytes = (command.length * shape.element_bytes + 63) / 64 * 64;
    const std::uint64_t quarter = std::uint64_t{2} << 20;
    for (std::uint32_t i = 0; i < count; ++i) {
      command.a_address = vectors_.physical + i * bytes;
      command.b_address = vectors_.physical + quarter + (shape.repeats ? 0 : i * bytes);
      command.c_address = vectors_.physical + 2 * quarter + i * bytes;
      command.out_address = vectors_.physical + 3 * quarter + i * bytes;
      command.interrupt = i + 1 == count;
      const auto words = command.encode();
      std::memcpy(ring_.data + i * slot_bytes, words.data(), sizeof(words));
    }
    device.write32(page::ring_base_lo, static_cast<std::uint32_t>(ring_.physical));
    device.write32(page::ring_base_hi, static_cast<std::uint32_t>(ring_.physical >> 32));
    device.write32(page::ring_log2, ring_log2);
    device.write32(page::control, page::control_run | page::control_interrupt_enable);
    device.write32(page::ring_tail, count);
    if (!platform_->advance(platform_->now() + std::chrono::seconds(1)).value().has_value()) return 0;
    return device.read32(page::cycles_busy_lo);
  }

 private:
  std::unique_ptr<SimulatedPlatform> platform_;
  std::size_t index_ = 0;
  Block ring_;
  Block vectors_;
};

/// Cycles of one command alone, if nothing but memory took time: its fetch, its data on one port, its completion.
double alone_limit(bench::Traffic traffic, std::size_t port) {
  constexpr std::uint64_t command_beats = 7, completion_beats = 1;
  const std::uint64_t around = 2 * std::uint64_t{sim::DdrParameters{}.latency} + command_beats + completion_beats;
  return static_cast<double>(bench::plain_cycles(traffic, {port}) + around);
}

void measure_commands(Zip& zip, const Case& item, std::uint32_t length, std::uint32_t queue) {
  zip::Command command;
  command.opcode = static_cast<std::uint8_t>(item.kind);
  command.length = length;
  command.b_length = item.b_length;
  command.b_constant = item.constant;
  const std::uint32_t few = queue / 3 / 2 * 2;
  // Where in memory's windows a command begins counts, so one alone is the mean of some.
  constexpr int repeats = 12;
  double alone = 0;
  for (int i = 0; i < repeats; ++i) alone += static_cast<double>(zip.run(command, 1)) / repeats;
  const bench::Traffic traffic = traffic_of(zip.config, command);
  const double added = static_cast<double>(zip.run(command, queue) - zip.run(command, few)) / (queue - few);
  std::cout << nlohmann::json({{"operation", item.name},
                               {"length", length},
                               {"added", added},
                               {"alone", alone},
                               {"modelled_added", zip::queued_cycles(zip.config, command)},
                               {"modelled_alone", zip::command_cycles(zip.config, command)},
                               {"limit", bench::plain_limit(traffic, zip.ports)},
                               {"limit_one_port", bench::plain_limit(traffic, {zip.ports[0]})},
                               {"limit_alone", alone_limit(traffic, zip.ports[0])}})
            << std::endl;
}

/// Nanoseconds per call, the best of some.
double time_of(const std::function<void()>& call) {
  double best = 1e30;
  for (int repeat = 0; repeat < 20; ++repeat) {
    const auto begin = std::chrono::steady_clock::now();
    call();
    best = std::min(best, std::chrono::duration<double, std::nano>(std::chrono::steady_clock::now() - begin).count());
  }
  return best;
}

/// A loop over std::complex, the peer of the kernel; nothing where that has no counterpart.
void plain_loop(ZIPKind kind, const std::complex<float>* a, const std::complex<float>* b, std::complex<float>* out,
                std::size_t count) {
  switch (kind) {
    case ZIPKind::add:
      for (std::size_t i = 0; i < count; ++i) out[i] = a[i] + b[i];
      return;
    case ZIPKind::mul:
      for (std::size_t i = 0; i < count; ++i) out[i] = a[i] * b[i];
      return;
    case ZIPKind::div:
      for (std::size_t i = 0; i < count; ++i) out[i] = a[i] / b[i];
      return;
    default:
      for (std::size_t i = 0; i < count; ++i) out[i] = std::abs(a[i]);
  }
}

void measure_cpu(const Case& item) {
  constexpr std::size_t count = 4096;
  std::vector<std::complex<float>> a(count), b(count), c(count), out(count);
  for (std::size_t i = 0; i < count; ++i) {
    a[i] = {1.0F + static_cast<float>(i % 97), 2.0F - static_cast<float>(i % 31)};
    b[i] = c[i] = {3.0F + static_cast<float>(i % 53), 0.5F};
  }
  const auto numbers = [](auto& vector) { return reinterpret_cast<float*>(vector.data()); };
  const ZIPOperands operands{numbers(a), numbers(b), numbers(c), numbers(out), count, count};
  nlohmann::json line = {{"cpu", item.name}, {"ns", time_of([&] { zip_elements(item.kind, operands); }) / count}};
  const bool has_peer = item.kind == ZIPKind::add || item.kind == ZIPKind::mul || item.kind == ZIPKind::div ||
                        item.kind == ZIPKind::magnitude;
  if (has_peer && !item.constant && item.b_length == 0) {
    line["loop_ns"] = time_of([&] { plain_loop(item.kind, a.data(), b.data(), out.data(), count); }) / count;
  }
  std::cout << line << std::endl;
}

/// The same in int16, beside nothing.
void measure_cpu_int16(const Case& item) {
  constexpr std::size_t count = 4096;
  std::vector<std::int16_t> a(2 * count), b(2 * count), c(2 * count), out(2 * count);
  for (std::size_t i = 0; i < a.size(); ++i) {
    a[i] = c[i] = static_cast<std::int16_t>(i * 7919);
    b[i] = static_cast<std::int16_t>(i * 104729 + 1);
  }
  const IntegerOperands operands{a.data(), b.data(), c.data(), out.data(), count, count, 8};
  const double ns = time_of([&] { zip_integers(item.kind, operands); }) / count;
  std::cout << nlohmann::json({{"cpu", "int16." + std::string(item.name)}, {"ns", ns}}) << std::endl;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::cerr << "expected the directory of a build\n";
    return 2;
  }
  const auto soc = SoCDescription::load(argv[1]);
  if (!soc) {
    std::cerr << soc.error().message << '\n';
    return 1;
  }
  Zip zip(*soc);
  for (const Case& item : cases) {
    measure_commands(zip, item, 1024, 36);
    measure_commands(zip, item, 4096, 12);
  }
  for (const Case& item : cases) measure_cpu(item);
  for (const Case& item : cases) {
    if (!item.constant && item.b_length == 0) measure_cpu_int16(item);
  }
}
