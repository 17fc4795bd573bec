/// What the tests of the runtime share: a SoC, probe kernels, and platforms that break.
#pragma once

#include <atomic>
#include <climits>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <vector>

#include "cosoc/cosoc.hpp"
#include "session/session_state.hpp"

namespace test {

/// Four cores and one accelerator of each kind.
cosoc::SoCDescription make_soc();

/// Adds 1 and all inputs, element by element, float32; counts its runs. Fails when told so.
class ProbeKernel final : public cosoc::Kernel {
 public:
  explicit ProbeKernel(bool fails = false) : fails_(fails) {}
  std::string_view name() const override { return "probe"; }
  cosoc::Status check(std::span<const cosoc::TensorType>, std::span<const cosoc::TensorType>) const override {
    return {};
  }
  cosoc::Status run(std::span<const cosoc::TensorView> inputs,
                    std::span<const cosoc::TensorView> outputs) const override;
  cosoc::Work work(std::span<const cosoc::TensorType>, std::span<const cosoc::TensorType> outputs) const override {
    return {static_cast<std::uint64_t>(outputs[0].elements()), 4};
  }
  nlohmann::json attributes() const override { return nlohmann::json::object(); }

  mutable std::atomic<int> runs = 0;

 private:
  bool fails_;
};

/// What goes wrong with an accelerator.
enum class Fault {
  none,
  hangs,                // never looks at its ring
  fails,                // every command completes with an error
  loses_interrupt,      // the work is done, nobody is told
  stays_in_reset,       // hangs, and its reset does not end
  dma_error,            // memory answers its reads with an error
  spurious,             // interrupts before the work is done
  late_interrupt,       // it comes when the next call is on its way
  reconfigured,         // hangs, and is another accelerator from then on
  wrong_configuration,  // is another accelerator from then on, and completes calls as if nothing were
  random,               // one of those that pass, now and then, on every accelerator
};

struct FaultPlan {
  std::string accelerator;
  Fault fault = Fault::none;
  int times = 1;         // calls to which it happens
  int resets = INT_MAX;  // of `stays_in_reset`: how many do not end
  // Of a threaded platform: whether the accelerator waits, told the number of calls that it has begun.
  std::function<bool(int)> holds = {};
};

/// The functional platform of a SoC with a fault in it, in simulated time or behind threads.
std::unique_ptr<cosoc::SimulatedPlatform> make_faulty_platform(const cosoc::SoCDescription& soc, const FaultPlan& plan);
std::unique_ptr<cosoc::WallClockPlatform> make_threaded_platform(const cosoc::SoCDescription& soc,
                                                                 const FaultPlan& plan);

/// A session over a platform of the test.
cosoc::Session open(const cosoc::SoCDescription& soc, cosoc::AnyPlatform platform,
                    const cosoc::SessionOptions& options = {});

/// input "x" complex64 (4, 64), forward FFT, product with a constant, inverse FFT, power: float32 (4, 64).
cosoc::Graph make_signal_graph(const std::vector<std::string>& fft_devices = {"cpu", "fft"});

/// A SoC of 1 core and two convolution engines, the second with `pixel_lanes`.
cosoc::SoCDescription make_two_engines(std::uint32_t pixel_lanes = 2);

/// Convolutions one after the other, of an int8 input "x" of `rows` x 24 pixels and 32 channels: plain, with a residual
/// and a pooling, with stride and dilation, with a large kernel.
cosoc::Graph make_convolution_graph(std::int64_t rows);

/// Fully connected layers one after the other, of an int8 input "x" of 4 x 4 pixels and 64 channels: 500 results three
/// times, the last time with a residual, and 10.
cosoc::Graph make_connected_graph();

/// Runs a model with one float32 or complex64 input and one output; fails the test on an error.
std::vector<std::byte> run(cosoc::Model& model, std::span<const std::byte> input);
/// Seeded values in -1..1.
std::vector<float> random_floats(std::size_t count, unsigned seed);

}  // namespace test
