#include <catch2/catch.hpp>
#include <condition_variable>
#include <cstring>
#include <mutex>
#include <random>

#include "cosoc/generated/page.hpp"
#include "support.hpp"

namespace test {
namespace {

using namespace cosoc;

/// Passes registers through, but for the fault.
class FaultyDevice final : public Device {
 public:
  FaultyDevice(Device& inner, std::mutex& mutex, Fault fault, int times)
      : inner_(inner), mutex_(mutex), fault_(fault), times_(times) {}

  std::uint32_t read32(std::uint32_t offset) override {
    const std::lock_guard lock(mutex_);
    const std::uint32_t value = inner_.read32(offset);
    return offset == page::control && stuck_ ? value | page::control_reset : value;
  }

  void write32(std::uint32_t offset, std::uint32_t value) override {
    const std::lock_guard lock(mutex_);
    if (offset == page::ring_base_lo) ring_ = value;
    if (offset == page::control && (value & page::control_reset) != 0) stuck_ = hit_ && fault_ == Fault::stays_in_reset;
    if (offset == page::ring_tail && value != 0) {
      hit_ = fault_ != Fault::none && times_ > 0;
      if (hit_) --times_;
      if (hit_ && (fault_ == Fault::hangs || fault_ == Fault::stays_in_reset)) return;
    }
    inner_.write32(offset, value);
  }

  /// The interrupt came: whether it may be seen. The mutex is held.
  bool deliver(DeviceMemory& memory) {
    if (!hit_) return true;
    if (fault_ == Fault::loses_interrupt) {
      inner_.write32(page::interrupt_status, ~0U);
      return false;
    }
    if (fault_ == Fault::fails) {
      auto completion = memory.at(ring_ + 4 * command_words, 4);
      REQUIRE(completion);
      (*completion)[0] = std::byte{1};
    }
    return true;
  }

 private:
  Device& inner_;
  std::mutex& mutex_;
  Fault fault_;
  int times_;
  std::uint64_t ring_ = 0;
  bool hit_ = false;
  bool stuck_ = false;
};

/// The functional platform with faulty devices; both kinds of time are made from it.
class Faulty {
 public:
  Faulty(const SoCDescription& soc, const FaultPlan& plan) {
    auto made = make_functional_platform(soc);
    if (!made) FAIL(made.error().message);
    inner = std::move(*made);
    for (std::size_t i = 0; i < soc.accelerators.size(); ++i) {
      const Fault fault = soc.accelerators[i].name == plan.accelerator ? plan.fault : Fault::none;
      devices.push_back(std::make_unique<FaultyDevice>(inner->accelerator(i), mutex, fault, plan.times));
    }
  }

  Result<std::optional<std::size_t>> advance(Time limit) {
    const std::lock_guard lock(mutex);
    while (true) {
      auto interrupt = inner->advance(limit);
      if (!interrupt || !*interrupt || devices[**interrupt]->deliver(inner->memory())) return interrupt;
    }
  }

  std::mutex mutex;
  std::unique_ptr<SimulatedPlatform> inner;
  std::vector<std::unique_ptr<FaultyDevice>> devices;
};

class FaultyPlatform final : public SimulatedPlatform {
 public:
  FaultyPlatform(const SoCDescription& soc, const FaultPlan& plan) : faulty_(soc, plan) {}
  DeviceMemory& memory() override { return faulty_.inner->memory(); }
  std::size_t accelerator_count() const override { return faulty_.devices.size(); }
  Device& accelerator(std::size_t index) override { return *faulty_.devices[index]; }
  Time now() const override { return faulty_.inner->now(); }
  Result<std::optional<std::size_t>> advance(Time limit) override { return faulty_.advance(limit); }

 private:
  Faulty faulty_;
};

/// Waiting threads let the models' time pass, a microsecond at a time.
class ThreadedPlatform final : public WallClockPlatform {
 public:
  ThreadedPlatform(const SoCDescription& soc, const FaultPlan& plan) : faulty_(soc, plan) {}
  DeviceMemory& memory() override { return faulty_.inner->memory(); }
  std::size_t accelerator_count() const override { return faulty_.devices.size(); }
  Device& accelerator(std::size_t index) override { return *faulty_.devices[index]; }

  Result<bool> wait_interrupt(std::size_t index, Time timeout) override {
    const auto end = std::chrono::steady_clock::now() + timeout;
    std::unique_lock lock(mutex_);
    while (true) {
      auto interrupt = faulty_.advance(time_ += std::chrono::microseconds(1));
      if (!interrupt) return tl::make_unexpected(interrupt.error());
      if (*interrupt == index) return true;
      if (std::chrono::steady_clock::now() >= end) return false;
      changed_.wait_for(lock, std::chrono::microseconds(20));
    }
  }

 private:
  Faulty faulty_;
  std::mutex mutex_;
  std::condition_variable changed_;
  Time time_{};
};

}  // namespace

SoCDescription make_soc() {
  SoCDescription soc;
  soc.board = "sim";
  soc.clock_hz = 300000000;
  soc.cpu_cores = 4;
  soc.memory_bytes = 4 << 20;
  soc.accelerators = {
      {"c2d0",
       "c2d",
       0xA0000000,
       65536,
       89,
       {"HP0"},
       0,
       {{"activation_bits", 8},
        {"input_lanes", 16},
        {"output_lanes", 8},
        {"pixel_lanes", 2},
        {"feature_words", 16384},
        {"weight_steps", 1024},
        {"channel_blocks", 128},
        {"memory_ports", 1},
        {"memory_port_bits", 128}}},
      {"fft0",
       "fft",
       0xA0010000,
       65536,
       90,
       {"HP3"},
       0,
       {{"max_log2", 11},
        {"samples", 1},
        {"number_format", 0},
        {"mantissa_bits", 16},
        {"real_input", 0},
        {"multiply", 0},
        {"memory_ports", 1}}},
      {"zip0", "zip", 0xA0020000, 65536, 91, {"HP1"}, 0, {{"lanes", 2}, {"memory_ports", 1}, {"number_format", 0}}},
  };
  return soc;
}

Status ProbeKernel::run(std::span<const TensorView> inputs, std::span<const TensorView> outputs) const {
  ++runs;
  if (fails_) return failure("told to fail");
  auto* out = outputs[0].as<float>();
  for (std::int64_t i = 0; i < outputs[0].type->elements(); ++i) {
    float sum = 1.0F;
    for (const TensorView& input : inputs) sum += input.as<float>()[i % input.type->elements()];
    out[i] = sum;
  }
  return {};
}

std::unique_ptr<SimulatedPlatform> make_faulty_platform(const SoCDescription& soc, FaultPlan plan) {
  return std::make_unique<FaultyPlatform>(soc, plan);
}

std::unique_ptr<WallClockPlatform> make_threaded_platform(const SoCDescription& soc, FaultPlan plan) {
  return std::make_unique<ThreadedPlatform>(soc, plan);
}

Session open(const SoCDescription& soc, AnyPlatform platform, SessionOptions options) {
  auto state = SessionState::make(options, soc, std::move(platform));
  if (!state) FAIL(state.error().message);
  return Session(std::move(*state));
}

Graph make_signal_graph(const std::vector<std::string>& fft_devices) {
  const NodeOptions on_fft{.devices = fft_devices};
  const TensorType type{DType::complex64, {4, 64}};
  const auto reference = random_floats(4 * 64 * 2, 5);
  Graph graph("signal");
  const auto x = graph.input("x", type);
  const auto spectrum = fft(graph, "forward", x, FFTDirection::forward, on_fft);
  const auto factor = graph.constant("factor", type, std::as_bytes(std::span(reference)));
  const auto product = zip(graph, "product", spectrum, factor, ZIPOperator::mul, {.devices = {"cpu", "zip"}});
  const auto result = fft(graph, "inverse", product, FFTDirection::inverse, on_fft);
  graph.output(magnitude_squared(graph, "power", result));
  return graph;
}

std::vector<std::byte> run(Model& model, std::span<const std::byte> input) {
  const auto& graph = model.graph();
  std::vector<std::byte> bytes(graph.tensors()[graph.outputs()[0]].type.dense_bytes());
  const std::span<std::byte> output = bytes;
  const auto done = model.run({&input, 1}, {&output, 1});
  if (!done) FAIL(done.error().message);
  return bytes;
}

std::vector<float> random_floats(std::size_t count, unsigned seed) {
  std::mt19937 random(seed);
  std::vector<float> values(count);
  for (float& value : values) value = static_cast<float>(static_cast<std::int32_t>(random())) / 2147483648.0F;
  return values;
}

}  // namespace test
