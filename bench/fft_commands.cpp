/// Commands of the FFT accelerator in RTL, and what plain streams of the same size take.
///
///   fft-commands BUILD
///
/// A line of JSON per kind of command: samples of a frame, cycles of a command with one frame, cycles that a further
/// frame adds, the same by the cost model, and cycles of plain reads and writes of as many bytes under the same memory
/// model.
#include <chrono>
#include <cstring>
#include <iostream>
#include <nlohmann/json.hpp>

#include "cosoc/generated/fft.hpp"
#include "cosoc/generated/page.hpp"
#include "device/platform.hpp"
#include "drivers/fft/cycles.hpp"
#include "drivers/fft/operand.hpp"
#include "support/plain_streams.hpp"

namespace {

using namespace cosoc;

constexpr std::uint32_t ring_log2 = 4;
constexpr std::size_t half_bytes = std::size_t{4} << 20;

/// The first FFT of a SoC in RTL, with a ring.
class Accelerator {
 public:
  Accelerator(const SoCDescription& soc, std::unique_ptr<SimulatedPlatform> platform) : platform_(std::move(platform)) {
    while (soc.accelerators[index_].kind != fft::name) ++index_;
    const AcceleratorDescription& accelerator = soc.accelerators[index_];
    std::array<std::uint32_t, fft::Config::names.size()> values{};
    for (std::size_t i = 0; i < values.size(); ++i) {
      values[i] = accelerator.config.at(std::string(fft::Config::names[i]));
    }
    config = fft::Config::from(values);
    for (const std::string& port : accelerator.memory_ports) ports.push_back(static_cast<std::size_t>(port[2] - '0'));
    ring_ = platform_->memory().allocate(slot_bytes << ring_log2).value();
    samples_ = platform_->memory().allocate(2 * half_bytes).value();
    std::memset(samples_.data, 0, 2 * half_bytes);
  }

  fft::Config config{};
  std::vector<std::size_t> ports;

  /// Cycles in which the accelerator was busy with a command that reads one half of the samples and writes the other.
  std::uint64_t run(fft::Command command) {
    Device& device = platform_->accelerator(index_);
    device.write32(page::control, page::control_reset);
    while ((device.read32(page::control) & page::control_reset) != 0) {
    }
    command.in_address = samples_.physical;
    command.out_address = samples_.physical + half_bytes;
    command.interrupt = 1;
    const auto words = command.encode();
    std::memcpy(ring_.data, words.data(), sizeof(words));
    device.write32(page::ring_base_lo, static_cast<std::uint32_t>(ring_.physical));
    device.write32(page::ring_base_hi, static_cast<std::uint32_t>(ring_.physical >> 32));
    device.write32(page::ring_log2, ring_log2);
    device.write32(page::control, page::control_run | page::control_interrupt_enable);
    device.write32(page::ring_tail, 1);
    if (!platform_->advance(platform_->now() + std::chrono::seconds(1)).value().has_value()) return 0;
    return device.read32(page::cycles_busy_lo);
  }

 private:
  std::unique_ptr<SimulatedPlatform> platform_;
  std::size_t index_ = 0;
  Block ring_;
  Block samples_;
};

/// Transforms one after the other in memory.
fft::Command batch(std::uint8_t log2_length) {
  fft::Command command;
  command.log2_length = log2_length;
  command.in_frame_stride = command.out_frame_stride = static_cast<std::uint32_t>(sizeof(Complex)) << log2_length;
  return command;
}

/// Blocks of columns of a matrix with 1,024 of them.
fft::Command columns(std::uint8_t log2_length, std::uint8_t columns_log2, bool transpose) {
  constexpr std::uint32_t row_bytes = 1024 * sizeof(Complex);
  fft::Command command;
  command.log2_length = log2_length;
  command.interleave_log2 = columns_log2;
  command.transpose = transpose;
  command.in_row_stride = command.out_row_stride = row_bytes;
  command.in_frame_stride = command.out_frame_stride = static_cast<std::uint32_t>(sizeof(Complex)) << columns_log2;
  if (transpose) {
    command.out_row_stride = static_cast<std::uint32_t>(sizeof(Complex)) << log2_length;
    command.out_frame_stride = command.out_row_stride << columns_log2;
  }
  return command;
}

void measure(Accelerator& accelerator, const std::string& name, fft::Command command) {
  const std::uint64_t samples = std::uint64_t{1} << (command.log2_length + command.interleave_log2);
  const auto with = [&](std::uint64_t frames) {
    command.frames = static_cast<std::uint32_t>(frames);
    return command;
  };
  const std::uint64_t few = std::max<std::uint64_t>(2, 8192 / samples), many = 3 * few;
  const auto per_frame = [&](std::uint64_t more, std::uint64_t less) {
    return static_cast<double>(more - less) / static_cast<double>(many - few);
  };
  const bench::Traffic traffic{samples * few / 2, samples * few / 2};
  const auto modelled = [&](std::uint64_t frames) { return fft::command_cycles(accelerator.config, with(frames)); };
  std::cout << nlohmann::json({{"name", name},
                               {"samples", samples},
                               {"row_bytes", std::min(fft::Operand::input(command).row_bytes(),
                                                      fft::Operand::output(command).row_bytes())},
                               {"alone", accelerator.run(with(1))},
                               {"added", per_frame(accelerator.run(with(many)), accelerator.run(with(few)))},
                               {"modelled_alone", modelled(1)},
                               {"modelled_added", per_frame(modelled(many), modelled(few))},
                               {"limit", bench::plain_limit(traffic, accelerator.ports) / static_cast<double>(few)}})
            << std::endl;
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
  auto platform = make_rtl_platform(*soc);
  if (!platform) {
    std::cerr << platform.error().message << '\n';
    return 1;
  }
  Accelerator accelerator(*soc, std::move(*platform));
  for (std::uint32_t log2_length = 6; log2_length <= accelerator.config.max_log2; ++log2_length) {
    measure(accelerator, "n" + std::to_string(1 << log2_length), batch(static_cast<std::uint8_t>(log2_length)));
  }
  for (std::uint8_t columns_log2 = 2; columns_log2 <= 5; ++columns_log2) {
    if (6U + columns_log2 > accelerator.config.max_log2) continue;
    const std::string name = "columns64x" + std::to_string(1 << columns_log2);
    measure(accelerator, name, columns(6, columns_log2, false));
    measure(accelerator, name + "t", columns(6, columns_log2, true));
  }
}
