#include <array>
#include <catch2/catch.hpp>
#include <condition_variable>
#include <cstring>
#include <mutex>
#include <random>
#include <thread>
#include <utility>

#include "cosoc/generated/page.hpp"
#include "cosoc/operations.hpp"
#include "support.hpp"

namespace test {
namespace {

using namespace cosoc;

/// Passes registers through, but for the fault.
class FaultyDevice final : public Device {
 public:
  FaultyDevice(Device& inner, std::mutex& mutex, Fault fault, const FaultPlan& plan, unsigned seed)
      : inner_(inner),
        mutex_(mutex),
        fault_(fault),
        times_(plan.times),
        resets_(plan.resets),
        draws_(fault == Fault::random),
        random_(seed) {}

  std::uint32_t read32(std::uint32_t offset) override {
    const std::lock_guard lock(mutex_);
    const std::uint32_t value = inner_.read32(offset);
    if (offset == page::config_hash && reconfigured_) return value + 1;
    return offset == page::control && stuck_ ? value | page::control_reset : value;
  }

  void write32(std::uint32_t offset, std::uint32_t value) override {
    const std::lock_guard lock(mutex_);
    if (offset == page::ring_base_lo) ring_ = value;
    if (offset == page::control && (value & page::control_reset) != 0) {
      stuck_ = hit_ && fault_ == Fault::stays_in_reset && resets_-- > 0;
    }
    if (offset == page::ring_tail && value != 0) {
      ++calls_;
      hit_ = fault_ != Fault::none && times_ > 0;
      if (hit_) --times_;
      if (draws_) draw();
      early_ = std::exchange(late_, false) || (hit_ && fault_ == Fault::spurious);
      const bool hangs = fault_ == Fault::hangs || fault_ == Fault::stays_in_reset || fault_ == Fault::reconfigured;
      reconfigured_ |= hit_ && (fault_ == Fault::reconfigured || fault_ == Fault::wrong_configuration);
      if (hit_ && hangs) return;
    }
    inner_.write32(offset, value);
  }

  /// The interrupt came: whether it may be seen. The mutex is held.
  bool deliver(DeviceMemory& memory) {
    if (!hit_) return true;
    if (fault_ == Fault::loses_interrupt || fault_ == Fault::late_interrupt) {
      inner_.write32(page::interrupt_status, ~0U);
      late_ = fault_ == Fault::late_interrupt;
      return false;
    }
    if (fault_ == Fault::fails || fault_ == Fault::dma_error) {
      const auto error = fault_ == Fault::fails ? ErrorCode::bad_opcode : ErrorCode::read_response;
      // On a thread of the platform, and Catch's checks are for one thread: the ring is where the driver has put it.
      memory.at(ring_ + 4 * command_words, 4).value()[0] = static_cast<std::byte>(error);
    }
    return true;
  }

  /// Whether there is an interrupt that nothing has caused. The mutex is held.
  bool interrupts_early() { return std::exchange(early_, false); }

  /// How many have begun. The mutex is held.
  int calls() const { return calls_; }

 private:
  /// One call of 16 has a fault.
  void draw() {
    constexpr std::array faults = {Fault::hangs,     Fault::fails,    Fault::loses_interrupt,
                                   Fault::dma_error, Fault::spurious, Fault::late_interrupt};
    hit_ = random_() % 16 == 0;
    fault_ = faults[random_() % faults.size()];
  }

  Device& inner_;
  std::mutex& mutex_;
  Fault fault_;
  int times_;
  int resets_;
  bool draws_;
  std::mt19937 random_;
  std::uint64_t ring_ = 0;
  int calls_ = 0;
  bool hit_ = false;
  bool stuck_ = false;
  bool late_ = false;   // an interrupt is still to come
  bool early_ = false;  // it comes now
  bool reconfigured_ = false;
};

/// The functional platform with faulty devices; both kinds of time are made from it.
class Faulty {
 public:
  Faulty(const SoCDescription& soc, const FaultPlan& plan) {
    auto made = make_functional_platform(soc);
    if (!made) FAIL(made.error().message);
    inner = std::move(*made);
    for (std::size_t i = 0; i < soc.accelerators.size(); ++i) {
      const bool chosen = plan.fault == Fault::random || soc.accelerators[i].name == plan.accelerator;
      devices.push_back(std::make_unique<FaultyDevice>(inner->accelerator(i), mutex, chosen ? plan.fault : Fault::none,
                                                       plan, static_cast<unsigned>(i)));
    }
  }

  Result<std::optional<std::size_t>> advance(Time limit) {
    const std::lock_guard lock(mutex);
    for (std::size_t i = 0; i < devices.size(); ++i) {
      if (devices[i]->interrupts_early()) return i;
    }
    while (true) {
      auto interrupt = inner->advance(limit);
      if (!interrupt || !*interrupt || devices[**interrupt]->deliver(inner->memory())) return interrupt;
    }
  }

  int calls(std::size_t index) {
    const std::lock_guard lock(mutex);
    return devices[index]->calls();
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

/// Waiting threads let the models' time pass: so many times slower than the clock, for a call to take longer than
/// threads take to wake up, and no longer when they wake up late.
class ThreadedPlatform final : public WallClockPlatform {
 public:
  ThreadedPlatform(const SoCDescription& soc, const FaultPlan& plan) : faulty_(soc, plan), holds_(plan.holds) {}
  DeviceMemory& memory() override { return faulty_.inner->memory(); }
  std::size_t accelerator_count() const override { return faulty_.devices.size(); }
  Device& accelerator(std::size_t index) override { return *faulty_.devices[index]; }

  Result<bool> wait_interrupt(std::size_t index, Time timeout) override {
    const Clock::time_point end = Clock::now() + timeout;
    std::unique_lock lock(mutex_);
    while (true) {
      while (holds_ && holds_(faulty_.calls(index))) std::this_thread::sleep_for(std::chrono::microseconds(20));
      const Clock::time_point now = Clock::now();
      auto interrupt = faulty_.advance((now - begin_) / slowness);
      if (!interrupt) return tl::make_unexpected(interrupt.error());
      if (*interrupt == index) return true;
      if (now >= end) return false;
      changed_.wait_for(lock, std::chrono::microseconds(20));
    }
  }

 private:
  using Clock = std::chrono::steady_clock;
  static constexpr int slowness = 64;

  Faulty faulty_;
  const std::function<bool(int)> holds_;
  std::mutex mutex_;
  std::condition_variable changed_;
  const Clock::time_point begin_ = Clock::now();
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

std::unique_ptr<SimulatedPlatform> make_faulty_platform(const SoCDescription& soc, const FaultPlan& plan) {
  return std::make_unique<FaultyPlatform>(soc, plan);
}

std::unique_ptr<WallClockPlatform> make_threaded_platform(const SoCDescription& soc, const FaultPlan& plan) {
  return std::make_unique<ThreadedPlatform>(soc, plan);
}

Session open(const SoCDescription& soc, AnyPlatform platform, const SessionOptions& options) {
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

SoCDescription make_two_engines(std::uint32_t pixel_lanes) {
  SoCDescription soc = make_soc();
  soc.cpu_cores = 1;
  soc.memory_bytes = 16 << 20;
  AcceleratorDescription second = soc.accelerators[0];
  second.name = "c2d1";
  second.base = 0xA0030000;
  second.interrupt = 92;
  second.config_hash = pixel_lanes;
  second.config["pixel_lanes"] = pixel_lanes;
  soc.accelerators.push_back(second);
  return soc;
}

namespace {

TensorType map_of(std::int64_t height, std::int64_t width, std::int64_t channels) {
  return {DType::int8, {1, height, width, channels}, 0.1F, 2};
}

/// Makes layers with random weights.
class Layers {
 public:
  explicit Layers(Graph& graph) : graph_(graph) {}

  Tensor add(const std::string& name, Tensor input, std::int64_t kernel, const Conv2DOptions& options,
             const TensorType& output) {
    const std::int64_t depth = graph_.tensors()[input.index].type.shape[3];
    const std::int64_t filters = output.shape[3];
    const auto weight = constant(name + ".weight", {DType::int8, {filters, kernel, kernel, depth}}, [&](auto& bytes) {
      for (auto& byte : bytes) byte = static_cast<std::byte>(static_cast<int>(random_() % 255) - 127);
    });
    const auto bias = constant(name + ".bias", {DType::int32, {filters}}, [](auto&) {});
    const auto multiplier = constant(name + ".multiplier", {DType::float32, {filters}}, [&](auto& bytes) {
      for (std::size_t i = 0; i < bytes.size(); i += 4) {
        const float value = 1.0F / static_cast<float>(2000 + random_() % 3000);
        std::memcpy(&bytes[i], &value, 4);
      }
    });
    return conv2d(graph_, name, input, weight, bias, multiplier, options, output, {.devices = {"cpu", "c2d"}});
  }

 private:
  template <class Draw>
  Tensor constant(const std::string& name, const TensorType& type, Draw draw) {
    std::vector<std::byte> bytes(type.dense_bytes());
    draw(bytes);
    return graph_.constant(name, type, bytes);
  }

  Graph& graph_;
  std::mt19937 random_{3};
};

}  // namespace

Graph make_convolution_graph(std::int64_t rows) {
  Graph graph("network");
  Layers layers(graph);
  const Tensor x = graph.input("x", map_of(rows, 24, 32));
  const Tensor a = layers.add("plain", x, 3, {.padding = {1, 1, 1, 1}}, map_of(rows, 24, 32));
  const Tensor b = layers.add("pooled", a, 3,
                              {.padding = {1, 1, 1, 1},
                               .residual = Conv2DResidual{x, 30000},
                               .pool = MaxPool2DOptions{{3, 3}, {2, 2}, {1, 1, 1, 1}}},
                              map_of((rows + 1) / 2, 12, 32));
  const Tensor c = layers.add("dilated", b, 3, {.stride = {1, 2}, .padding = {2, 1, 2, 1}, .dilation = {2, 1}},
                              map_of((rows + 1) / 2, 6, 64));
  graph.output(layers.add("last", c, 5, {.padding = {2, 2, 2, 2}}, map_of((rows + 1) / 2, 6, 48)));
  return graph;
}

Graph make_connected_graph() {
  Graph graph("connected");
  Layers layers(graph);
  const Tensor x = graph.input("x", map_of(4, 4, 64));
  const Tensor a = layers.add("first", x, 4, {}, map_of(1, 1, 500));
  const Tensor b = layers.add("second", a, 1, {}, map_of(1, 1, 500));
  const Tensor c = layers.add("residual", b, 1, {.residual = Conv2DResidual{a, 30000}}, map_of(1, 1, 500));
  graph.output(layers.add("last", c, 1, {}, map_of(1, 1, 10)));
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
