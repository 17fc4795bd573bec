#include "drivers/zip/driver.hpp"

#include <algorithm>
#include <bit>
#include <numeric>
#include <optional>

#include "device/cycles.hpp"
#include "drivers/zip/cycles.hpp"
#include "drivers/zip/format.hpp"
#include "kernels/zip.hpp"
#include "kernels/zip_int16.hpp"

namespace cosoc::zip {
namespace {

/// Elements of one command; the bytes of a transfer are counted in 32 bits.
constexpr std::uint64_t max_elements = std::uint64_t{1} << 28;

/// Elements below which a call is one command, also when there are two engines.
constexpr std::uint64_t worth_sharing = 512;

constexpr std::uint64_t beat_bytes = 16;

/// A call, as far as its commands depend on it.
struct Call {
  ZIPKind kind;
  std::uint64_t count = 0;
  std::uint64_t b_count = 0;                // 0: none
  std::optional<std::uint64_t> constant{};  // the 8 bytes of a constant b
  std::uint64_t real_bytes = sizeof(float);
  std::uint32_t shift = 0;

  std::uint64_t element_bytes() const { return is_real(kind) ? real_bytes : 2 * real_bytes; }
  std::uint64_t result_bytes() const { return is_narrow(kind) ? real_bytes : element_bytes(); }
};

Call call_of(const ZIPKernel& kernel, std::span<const TensorType> inputs) {
  Call call{.kind = kernel.kind(inputs[0]), .count = static_cast<std::uint64_t>(inputs[0].elements())};
  if (inputs.size() > 1) call.b_count = static_cast<std::uint64_t>(inputs[1].elements());
  if (kernel.factor()) {
    const auto [re, im] = *kernel.factor();
    call.constant = std::bit_cast<std::uint64_t>(std::array<float, 2>{re, is_real(call.kind) ? re : im});
  }
  return call;
}

Call call_of(const ZIPInt16Kernel& kernel, std::span<const TensorType> inputs) {
  const auto count_of = [&](const TensorType& type) {
    return static_cast<std::uint64_t>(type.elements() / kernel.parts());
  };
  Call call{.kind = kernel.kind(), .count = count_of(inputs[0])};
  if (inputs.size() > 1) call.b_count = count_of(inputs[1]);
  if (const auto constant = kernel.constant()) call.constant = std::bit_cast<std::uint64_t>(*constant);
  call.real_bytes = sizeof(std::int16_t);
  call.shift = kernel.shift();
  return call;
}

/// Of a kernel that ZIP has, in either number format.
std::optional<Call> call_of(const Kernel& kernel, std::span<const TensorType> inputs) {
  if (const auto* const floats = dynamic_cast<const ZIPKernel*>(&kernel)) return call_of(*floats, inputs);
  if (const auto* const integers = dynamic_cast<const ZIPInt16Kernel*>(&kernel)) return call_of(*integers, inputs);
  return std::nullopt;
}

/// Elements of each command of a call but the last: for two engines half of them, where that is worth it. Every command
/// begins at a beat of each vector, and where `b` begins anew.
std::uint64_t piece(const Config& config, const Call& call) {
  const std::uint64_t unit = std::lcm<std::uint64_t>(beat_bytes / call.real_bytes,
                                                     call.b_count > 0 && call.b_count < call.count ? call.b_count : 1);
  const std::uint64_t engines = call.count >= worth_sharing ? config.memory_ports : 1;
  const std::uint64_t wanted = std::min((call.count + engines - 1) / engines, max_elements);
  return (wanted + unit - 1) / unit * unit;
}

/// Commands of a call, with addresses relative to each tensor.
std::vector<Command> split(const Config& config, const Call& call) {
  const std::uint64_t element = call.element_bytes();
  const bool repeats = call.b_count > 0 && call.b_count < call.count;
  const std::uint64_t step = piece(config, call);
  std::vector<Command> list;
  for (std::uint64_t first = 0; first < call.count; first += step) {
    Command command;
    command.opcode = static_cast<std::uint8_t>(call.kind);
    command.length = static_cast<std::uint32_t>(std::min(step, call.count - first));
    command.a_address = command.c_address = first * element;
    command.b_address = repeats ? 0 : first * element;
    command.b_length = repeats ? static_cast<std::uint16_t>(call.b_count) : 0;
    command.out_address = first * call.result_bytes();
    command.shift = static_cast<std::uint8_t>(call.shift);
    if (call.constant) {
      command.b_constant = 1;
      command.constant = *call.constant;
    }
    list.push_back(command);
  }
  return list;
}

}  // namespace

Result<std::unique_ptr<Driver>> ZIPDriver::open(Device& device, DeviceMemory& memory) {
  std::unique_ptr<ZIPDriver> driver(new ZIPDriver(device, memory));
  if (auto status = driver->Driver::open("ZIP", kind, layout_hash); !status) {
    return tl::unexpected(status.error());
  }
  driver->config_ = Config::from(driver->capabilities<Config::names.size()>());
  return driver;
}

Status ZIPDriver::supports(const Kernel& kernel, std::span<const TensorType> inputs,
                           std::span<const TensorType> outputs) const {
  const bool floats = dynamic_cast<const ZIPKernel*>(&kernel) != nullptr;
  if (!floats && dynamic_cast<const ZIPInt16Kernel*>(&kernel) == nullptr) {
    return failure("ZIP runs the operations zip and zip_int16, not " + std::string(kernel.name()));
  }
  if (auto status = kernel.check(inputs, outputs); !status) return status;
  if (floats != (config_.number_format == 0)) {
    return failure("this ZIP computes " + std::string(floats ? "int16" : "float32") + ", not " +
                   std::string(name_of(inputs[0].dtype)) +
                   "; build it with zip_number_format=" + std::string(floats ? "0" : "1"));
  }
  const Call call = call_of(kernel, inputs).value();
  const std::uint64_t bytes = call.b_count * call.element_bytes();
  if (call.b_count < 2 || call.b_count >= call.count) return {};
  if (bytes > max_repeated_bytes || bytes % slot_bytes_of_b != 0) {
    return failure("ZIP repeats a second operand of one element, or of " + std::to_string(slot_bytes_of_b) + ".." +
                   std::to_string(max_repeated_bytes) + " bytes in steps of " + std::to_string(slot_bytes_of_b) +
                   ", not of " + std::to_string(bytes));
  }
  return {};
}

std::uint64_t ZIPDriver::estimate_cycles(const Kernel& kernel, std::span<const TensorType> inputs,
                                         std::span<const TensorType>) const {
  return call_cycles(config_, split(config_, call_of(kernel, inputs).value()));
}

Result<std::vector<CommandWords>> ZIPDriver::commands(const Kernel& kernel, std::span<const TensorView> inputs,
                                                      std::span<const TensorView> outputs) {
  std::vector<TensorType> types;
  for (const TensorView& input : inputs) types.push_back(*input.type);
  std::vector<CommandWords> words;
  for (Command& command : split(config_, call_of(kernel, types).value())) {
    command.a_address += inputs[0].block.physical;
    if (inputs.size() > 1) command.b_address += inputs[1].block.physical;
    if (inputs.size() > 2) command.c_address += inputs[2].block.physical;
    command.out_address += outputs[0].block.physical;
    words.push_back(command.encode());
  }
  return words;
}

}  // namespace cosoc::zip
