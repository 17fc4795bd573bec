/// The operation `fir`: on the CPU against its definition, and on functional accelerators with the bits of the CPU.
#include "drivers/fir/model.hpp"
#include "kernels/fir.hpp"
#include "software/support.hpp"

namespace cosoc::test {
namespace {

SoCDescription soc_with_fir(std::uint32_t multipliers, std::uint32_t max_taps = 64) {
  return soc_with("fir", {{"multipliers", multipliers}, {"max_taps", max_taps}});
}

std::shared_ptr<const Kernel> filter(std::int64_t decimation) { return kernel("fir", {{"decimation", decimation}}); }

TEST_CASE("a filter is the convolution, cut to the frame and thinned out") {
  const std::int64_t decimation = GENERATE(1, 2, 5, 100);
  const auto platform = make_cpu_platform(1 << 20);
  Tensors tensors(platform->memory());
  Random random(3);
  constexpr std::int64_t length = 37;
  const std::int64_t results = (length + decimation - 1) / decimation;
  const auto x = tensors.make(tensor(DType::complex64, {2, length}));
  const auto taps = tensors.make(tensor(DType::complex64, {9}));
  const auto y = tensors.make(tensor(DType::complex64, {2, results}));
  random.fill(x);
  random.fill(taps);
  run_on_cpu(*filter(decimation), {x, taps}, {y});
  for (std::int64_t frame = 0; frame < 2; ++frame) {
    for (std::int64_t i = 0; i < results; ++i) {
      double re = 0;
      double im = 0;
      for (std::int64_t k = 0; k < 9 && k <= i * decimation; ++k) {
        const Complex a = x.as<Complex>()[frame * length + i * decimation - k];
        const Complex h = taps.as<Complex>()[k];
        re += double{a.re} * h.re - double{a.im} * h.im;
        im += double{a.re} * h.im + double{a.im} * h.re;
      }
      const Complex found = y.as<Complex>()[frame * results + i];
      CHECK(found.re == Approx(re).margin(1e-4));
      CHECK(found.im == Approx(im).margin(1e-4));
    }
  }
}

TEST_CASE("an impulse gives the taps, bit for bit") {
  const auto platform = make_cpu_platform(1 << 20);
  Tensors tensors(platform->memory());
  const auto x = tensors.make(tensor(DType::complex64, {4}));
  const auto taps = tensors.make(tensor(DType::complex64, {4}));
  const auto y = tensors.make(tensor(DType::complex64, {4}));
  set_dense<float>(x, {1, 0, 0, 0, 0, 0, 0, 0});
  set_dense<float>(taps, {1, 2, -0.5F, 3, 1e-40F, 7, -1, -2});
  run_on_cpu(*filter(1), {x, taps}, {y});
  CHECK(dense(y) == dense(taps));
}

TEST_CASE("FIR equals the CPU, also when the filter is longer than the accelerator") {
  const std::int64_t taps = GENERATE(1, 3, 4, 5, 17, 64);
  const std::int64_t length = GENERATE(1, 6, 100);
  const std::int64_t decimation = GENERATE(1, 3);
  Machine machine(soc_with_fir(4));
  Tensors tensors(machine.platform->memory());
  Random random(static_cast<std::uint32_t>(taps));
  const std::vector<TensorView> inputs = {tensors.make(tensor(DType::complex64, {3, length})),
                                          tensors.make(tensor(DType::complex64, {taps}))};
  const TensorType result = tensor(DType::complex64, {3, (length + decimation - 1) / decimation});
  const std::vector<TensorView> outputs = {tensors.make(result)};
  const std::vector<TensorView> expected = {tensors.make(result)};
  for (const auto& input : inputs) random.fill(input);
  const auto fir = filter(decimation);
  run_on_cpu(*fir, inputs, expected);
  machine.run(*fir, inputs, outputs);
  CHECK(dense(outputs[0]) == dense(expected[0]));
  CHECK(machine.driver->counters().commands == static_cast<std::uint64_t>((taps + 3) / 4));
  CHECK(machine.driver->counters().cycles ==
        machine.driver->estimate_cycles(*fir, types_of(inputs), types_of(outputs)));
}

TEST_CASE("what the FIR cannot do is said") {
  Machine machine(soc_with_fir(4));
  const auto type = [](std::int64_t count) { return tensor(DType::complex64, {count}); };
  const auto message = [&](const Kernel& kernel, const std::vector<TensorType>& inputs, const TensorType& output) {
    return message_of(machine.driver->supports(kernel, inputs, std::vector{output}));
  };
  CHECK_THAT(message(*filter(1), {type(8), type(65)}, type(8)), Catch::Contains("up to 64 taps, not 65"));
  CHECK_THAT(message(*filter(2), {type(8), type(3)}, type(8)), Catch::Contains("fir"));
  CHECK_THAT(message(*filter(1), {type(std::int64_t{1} << 29), type(3)}, type(std::int64_t{1} << 29)),
             Catch::Contains("up to 536870911 samples, not 536870912"));
  CHECK_THAT(message(*kernel("magnitude_squared", nlohmann::json::object()), {type(8)}, type(8)),
             Catch::Contains("FIR runs the operation fir, not magnitude_squared"));
  for (const std::int64_t wrong : {0, 65536}) {
    CHECK_THAT(message_of(make_kernel("fir", {{"decimation", wrong}})), Catch::Contains("decimation"));
  }
}

TEST_CASE("commands that the FIR refuses") {
  std::vector<std::byte> bytes(4096);
  const DeviceMemory memory(bytes, 0);
  fir::FIRModel model({.multipliers = 4, .max_taps = 64});
  const auto error_of = [&](auto change) {
    fir::Command command{.taps = 4, .length = 20, .samples = 20, .outputs = 20, .decimation = 1, .out_address = 1024};
    change(command);
    CommandMemory window(memory, 0, 4095);
    return model.execute(command.encode(), window).error;
  };
  CHECK(error_of([](fir::Command&) {}) == ErrorCode::none);
  CHECK(error_of([](fir::Command& c) { c.opcode = 2; }) == ErrorCode::bad_opcode);
  CHECK(error_of([](fir::Command& c) { c.taps = 0; }) == ErrorCode::bad_length);
  CHECK(error_of([](fir::Command& c) { c.taps = 5; }) == ErrorCode::bad_length);
  CHECK(error_of([](fir::Command& c) { c.length = 0; }) == ErrorCode::bad_length);
  CHECK(error_of([](fir::Command& c) { c.samples = 0; }) == ErrorCode::bad_length);
  CHECK(error_of([](fir::Command& c) { c.outputs = 21; }) == ErrorCode::bad_length);
  CHECK(error_of([](fir::Command& c) { c.outputs = 19; }) == ErrorCode::bad_length);
  CHECK(error_of([](fir::Command& c) { c.taps_address = 8; }) == ErrorCode::misaligned);
  CHECK(error_of([](fir::Command& c) { c.decimation = 0; }) == ErrorCode::bad_parameter);
  CHECK(error_of([](fir::Command& c) { c.delay = 64; }) == ErrorCode::bad_parameter);
}

}  // namespace
}  // namespace cosoc::test
