/// Drivers over functional accelerators: the same bits as the CPU kernels, and what happens when something is wrong.
#include "cosoc/generated/conv2d.hpp"
#include "drivers/fft/transform.hpp"
#include "software/support.hpp"

namespace cosoc::test {
namespace {

TEST_CASE("ZIP equals the CPU for any length") {
  const std::int64_t length = GENERATE(1, 2, 3, 17, 1000);
  const std::string operation = GENERATE("add", "sub", "mul", "div", "conjugate_mul");
  Machine machine(soc_with("zip", zip_config(2)));
  Tensors tensors(machine.platform->memory());
  Random random(static_cast<std::uint32_t>(length));
  const TensorType type = tensor(DType::complex64, {length});
  const std::vector<TensorView> inputs = {tensors.make(type), tensors.make(type)};
  const std::vector<TensorView> outputs = {tensors.make(type)};
  const std::vector<TensorView> expected = {tensors.make(type)};
  for (const auto& input : inputs) random.fill(input);
  const auto zip = kernel("zip", {{"operation", operation}});
  run_on_cpu(*zip, inputs, expected);
  machine.run(*zip, inputs, outputs);
  CHECK(dense(outputs[0]) == dense(expected[0]));
  CHECK(machine.driver->counters().commands == 1);
  CHECK(machine.driver->counters().cycles ==
        machine.driver->estimate_cycles(*zip, types_of(inputs), types_of(outputs)));
}

TEST_CASE("FFT has the bits of its number format, also in place") {
  const std::int64_t length = GENERATE(8, 64, 1024);
  const std::string direction = GENERATE("forward", "inverse");
  Machine machine(soc_with("fft", fft_config(10)));
  Tensors tensors(machine.platform->memory());
  Random random(static_cast<std::uint32_t>(length));
  const std::vector<TensorView> inputs = {tensors.make(tensor(DType::complex64, {3, 2, length}))};
  const std::vector<TensorView> expected = {tensors.make(*inputs[0].type)};
  random.fill(inputs[0]);
  const auto transform = fft::make_transform(fft::Config{}, static_cast<std::size_t>(length), 0);
  std::copy_n(inputs[0].as<Complex>(), 6 * length, expected[0].as<Complex>());
  for (std::int64_t first = 0; first < 6 * length; first += length) {
    const std::span frame(expected[0].as<Complex>() + first, static_cast<std::size_t>(length));
    transform->run(frame, direction == "inverse", direction == "inverse");
  }
  const auto fft = kernel("fft", {{"direction", direction}});
  machine.run(*fft, inputs, inputs);
  CHECK(dense(inputs[0]) == dense(expected[0]));

  for (const std::int64_t other : {4, 100, 2048}) {
    const std::vector<TensorType> types = {tensor(DType::complex64, {other})};
    CHECK_THAT(message_of(machine.driver->supports(*fft, types, types)),
               Catch::Contains("a power of two of 8..1024 points, not " + std::to_string(other)));
  }
}

TEST_CASE("one call at a time") {
  Machine machine(soc_with("zip", zip_config(1)));
  Tensors tensors(machine.platform->memory());
  const TensorType type = tensor(DType::complex64, {100});
  const std::vector<TensorView> inputs = {tensors.make(type), tensors.make(type)};
  const std::vector<TensorView> outputs = {tensors.make(type)};
  const auto zip = kernel("zip", {{"operation", "add"}});
  require_ok(machine.driver->start(*zip, inputs, outputs));
  CHECK_THAT(message_of(machine.driver->start(*zip, inputs, outputs)), Catch::Contains("a call is running"));
  // Before its end nothing is complete.
  CHECK(value_of(machine.driver->service()) == false);
  CHECK_FALSE(value_of(machine.platform->advance(Time(1))).has_value());
  CHECK(machine.platform->now() == Time(1));
  require_ok(machine.driver->reset());
  CHECK_FALSE(value_of(machine.platform->advance(Time(1'000'000))).has_value());
  machine.run(*zip, inputs, outputs);
}

TEST_CASE("a failed command is told, and a reset brings the accelerator back") {
  Machine machine(soc_with("zip", zip_config(2)));
  Tensors tensors(machine.platform->memory());
  const TensorType type = tensor(DType::complex64, {100});
  const std::vector<TensorView> inputs = {tensors.make(type), tensors.make(type)};
  const std::vector<TensorView> outputs = {tensors.make(type)};
  const auto zip = kernel("zip", {{"operation", "add"}});

  auto broken = inputs;
  SECTION("outside the window") {
    broken[1].block.physical = 0;
    require_ok(machine.driver->start(*zip, broken, outputs));
    CHECK_THAT(message_of(machine.finish()), Catch::Contains("error 4: a transfer would leave the address window"));
  }
  SECTION("misaligned") {
    broken[1].block.physical += 8;
    require_ok(machine.driver->start(*zip, broken, outputs));
    CHECK_THAT(message_of(machine.finish()), Catch::Contains("error 3: an address is not a multiple of 16"));
  }
  CHECK_THAT(message_of(machine.driver->start(*zip, inputs, outputs)), Catch::Contains("reset the accelerator"));
  require_ok(machine.driver->reset());
  machine.run(*zip, inputs, outputs);
}

/// Registers that a test sets; a write goes into the register, unless `stuck` holds it.
class PlainDevice final : public Device {
 public:
  std::uint32_t read32(std::uint32_t offset) override { return registers[offset]; }
  void write32(std::uint32_t offset, std::uint32_t value) override {
    if (offset == page::control && !stuck_in_reset) value &= ~page::control_reset;
    registers[offset] = value;
  }

  std::map<std::uint32_t, std::uint32_t> registers = {
      {page::id, id_prefix | conv2d::kind}, {page::version, page_version}, {page::layout_hash, conv2d::layout_hash}};
  bool stuck_in_reset = false;
};

TEST_CASE("a driver refuses hardware that is not its own") {
  const auto platform = make_cpu_platform(1 << 20);
  PlainDevice device;
  const auto message = [&] { return message_of(make_driver("c2d", device, platform->memory())); };
  SECTION("nothing there") {
    device.registers[page::id] = 0xFFFFFFFF;
    CHECK_THAT(message(), Catch::Contains("expected ID 0x434f5301, found 0xffffffff") && Catch::Contains("bitstream"));
  }
  SECTION("another kind") {
    device.registers[page::id] = id_prefix | 3;
    CHECK_THAT(message(), Catch::Contains("kind 1, found kind 3"));
  }
  SECTION("another page") {
    device.registers[page::version] = 0x20000;
    CHECK_THAT(message(), Catch::Contains("version 1 of the register page, found 2"));
  }
  SECTION("another layout") {
    device.registers[page::layout_hash] = 0x1234;
    CHECK_THAT(message(), Catch::Contains("software built for another register layout") &&
                              Catch::Contains("found 0x00001234") && Catch::Contains("rebuild both"));
  }
  SECTION("stuck in reset") {
    device.stuck_in_reset = true;
    CHECK_THAT(message(), Catch::Contains("still in reset after 10000 reads"));
  }
  SECTION("unknown kind") {
    CHECK_THAT(message_of(make_driver("gpu", device, platform->memory())), Catch::Contains("there are c2d, fft, zip"));
  }
}

TEST_CASE("a device that never completes leaves the call running until the reset") {
  const auto platform = make_cpu_platform(1 << 20);
  PlainDevice device;
  constexpr std::array<std::uint32_t, 8> parameters = {8, 16, 8, 2, 4096, 512, 64, 1};
  for (std::uint32_t i = 0; i < parameters.size(); ++i) {
    device.registers[page::capability0 + 4 * i] = parameters[i];
  }
  const auto driver = value_of(make_driver("c2d", device, platform->memory()));
  const auto conv = kernel(
      "conv2d",
      {{"stride", {1, 1}}, {"padding", {0, 0, 0, 0}}, {"dilation", {1, 1}}, {"groups", 1}, {"clamp", {-128, 127}}});
  Tensors tensors(platform->memory());
  const std::vector<TensorView> inputs = {
      tensors.make(feature_map({1, 4, 4, 16})), tensors.make(feature_map({16, 3, 3, 16})),
      tensors.make(tensor(DType::int32, {16})), tensors.make(tensor(DType::float32, {16}))};
  const std::vector<TensorView> outputs = {tensors.make(feature_map({1, 2, 2, 16}))};
  require_ok(driver->start(*conv, inputs, outputs));
  for (int i = 0; i < 3; ++i) CHECK(value_of(driver->service()) == false);
  require_ok(driver->reset());
  CHECK(value_of(driver->service()) == true);
  require_ok(driver->start(*conv, inputs, outputs));
}

}  // namespace
}  // namespace cosoc::test
