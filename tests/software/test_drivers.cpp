/// Drivers over functional accelerators: the same bits as the CPU kernels, and what happens when something is wrong.
#include "cosoc/generated/conv2d.hpp"
#include "drivers/conv2d_tiling.hpp"
#include "software/support.hpp"

namespace cosoc::test {
namespace {

std::map<std::string, std::uint32_t> conv_config(std::uint32_t lanes, std::uint32_t activation_words,
                                                 std::uint32_t weight_steps, std::uint32_t output_words,
                                                 std::uint32_t partial_pixels) {
  return {{"output_lanes", lanes},
          {"activation_words", activation_words},
          {"weight_steps", weight_steps},
          {"output_words", output_words},
          {"partial_pixels", partial_pixels}};
}

const auto default_conv = conv_config(16, 4096, 288, 2048, 512);

struct Convolution {
  Shape in;
  Shape weight;
  std::array<std::int64_t, 2> stride = {1, 1};
  std::array<std::int64_t, 4> padding = {};

  std::shared_ptr<const Kernel> kernel(std::array<int, 2> dilation = {1, 1}, int groups = 1) const {
    return test::kernel(
        "conv2d",
        {{"stride", stride}, {"padding", padding}, {"dilation", dilation}, {"groups", groups}, {"clamp", {-120, 110}}});
  }
  Shape out() const {
    return {in[0], (in[1] + padding[0] + padding[2] - weight[1]) / stride[0] + 1,
            (in[2] + padding[1] + padding[3] - weight[2]) / stride[1] + 1, weight[0]};
  }
};

/// Tensors of a convolution, filled at random.
struct Call {
  Call(Machine& machine, const Convolution& c, Random& random, bool constant = true)
      : tensors(machine.platform->memory()) {
    inputs = {tensors.make(feature_map(c.in, 0.5F, static_cast<std::int32_t>(random.integer(-128, 127)))),
              tensors.make(feature_map(c.weight), constant),
              tensors.make(tensor(DType::int32, {c.weight[0]}), constant),
              tensors.make(tensor(DType::float32, {c.weight[0]}), constant)};
    const auto out = feature_map(c.out(), 0.5F, static_cast<std::int32_t>(random.integer(-128, 127)));
    outputs = {tensors.make(out)};
    expected = {tensors.make(out)};
    fill(random);
  }

  void fill(Random& random) {
    random.fill(inputs[0]);
    random.fill(inputs[1]);
    for (std::int64_t i = 0; i < inputs[2].type->shape[0]; ++i) {
      inputs[2].as<std::int32_t>()[i] = static_cast<std::int32_t>(random.integer(-30000, 30000));
      inputs[3].as<float>()[i] = random.real(1e-4F, 4e-3F);
    }
  }

  void check(Machine& machine, const Kernel& kernel) {
    run_on_cpu(kernel, inputs, expected);
    machine.run(kernel, inputs, outputs);
    REQUIRE(dense(outputs[0]) == dense(expected[0]));
  }

  Tensors tensors;
  std::vector<TensorView> inputs;
  std::vector<TensorView> outputs;
  std::vector<TensorView> expected;
};

std::uint64_t check_convolution(Machine& machine, const Convolution& c, std::uint32_t seed) {
  Random random(seed);
  Call call(machine, c, random);
  call.check(machine, *c.kernel());
  return machine.driver->counters().commands;
}

TEST_CASE("Conv2D equals the CPU for chosen shapes") {
  const std::uint32_t lanes = GENERATE(8, 16, 32);
  auto config = default_conv;
  config["output_lanes"] = lanes;
  Machine machine(soc_with("c2d", config));
  CHECK(check_convolution(machine, {.in = {1, 1, 1, 1}, .weight = {1, 1, 1, 1}}, 1) == 1);
  check_convolution(machine, {.in = {2, 9, 7, 3}, .weight = {5, 3, 3, 3}, .padding = {1, 1, 1, 1}}, 2);
  check_convolution(machine, {.in = {1, 32, 32, 20}, .weight = {40, 3, 3, 20}, .padding = {1, 1, 1, 1}}, 3);
  check_convolution(machine, {.in = {2, 9, 9, 16}, .weight = {33, 1, 1, 16}, .stride = {2, 3}}, 4);
  check_convolution(machine, {.in = {3, 4, 4, 40}, .weight = {10, 4, 4, 40}}, 5);
  check_convolution(machine, {.in = {7, 1, 1, 300}, .weight = {10, 1, 1, 300}}, 6);
  check_convolution(machine, {.in = {1, 20, 20, 5}, .weight = {3, 15, 15, 5}, .padding = {14, 7, 3, 14}}, 7);
  check_convolution(machine, {.in = {2, 3, 20, 5}, .weight = {6, 1, 2, 5}, .stride = {1, 7}, .padding = {0, 1, 0, 1}},
                    8);
  // More words than the weight buffer has steps: partial sums.
  CHECK(check_convolution(machine, {.in = {1, 4, 4, 600}, .weight = {20, 3, 3, 600}}, 9) > 1);
}

TEST_CASE("Conv2D equals the CPU for random shapes and tiny buffers") {
  Random random(77);
  bool tiled = false;
  for (std::uint32_t i = 0; i < 40; ++i) {
    const std::uint32_t lanes = 8U << random.integer(0, 2);
    const auto integer = [&](std::int64_t low, std::int64_t high) {
      return static_cast<std::uint32_t>(random.integer(low, high));
    };
    Machine machine(
        soc_with("c2d", conv_config(lanes, integer(16, 64), integer(16, 40), integer(4, 24), integer(4, 16))));
    Convolution c;
    c.in = {random.integer(1, 2), random.integer(4, 12), random.integer(4, 12), random.integer(1, 80)};
    c.weight = {random.integer(1, 70), random.integer(1, 4), random.integer(1, 4), c.in[3]};
    c.stride = {random.integer(1, 3), random.integer(1, 3)};
    for (std::size_t side = 0; side < 4; ++side) c.padding[side] = random.integer(0, c.weight[1 + side % 2] - 1);
    INFO("case " << i);
    tiled |= check_convolution(machine, c, 200 + i) > 64;  // more commands than ring slots
  }
  CHECK(tiled);
}

TEST_CASE("Conv2D packs constants once and notices new ones at the same place") {
  Machine machine(soc_with("c2d", default_conv));
  const Convolution c{.in = {1, 6, 6, 16}, .weight = {16, 3, 3, 16}};
  Random random(5);
  const std::size_t ring_only = machine.platform->memory().bytes_in_use();
  std::size_t with_packed = 0;
  for (int model = 0; model < 3; ++model) {
    Call call(machine, c, random);
    call.check(machine, *c.kernel());
    const std::size_t in_use = machine.platform->memory().bytes_in_use();
    call.check(machine, *c.kernel());
    CHECK(machine.platform->memory().bytes_in_use() == in_use);
    if (model == 0) with_packed = in_use;
    CHECK(in_use == with_packed);  // what the model before left was given back
  }
  {
    Call call(machine, c, random, false);
    call.check(machine, *c.kernel());
    call.fill(random);
    call.check(machine, *c.kernel());
  }
  machine.driver = value_of(make_driver("c2d", machine.platform->accelerator(0), machine.platform->memory()));
  CHECK(machine.platform->memory().bytes_in_use() == ring_only);
}

TEST_CASE("Conv2D refuses what its commands cannot express") {
  Machine machine(soc_with("c2d", conv_config(16, 256, 64, 128, 64)));
  const auto message = [&](const Convolution& c, std::array<int, 2> dilation = {1, 1}, int groups = 1) {
    Shape out = c.out();
    const std::vector<TensorType> inputs = {feature_map(c.in), feature_map(c.weight),
                                            tensor(DType::int32, {c.weight[0]}), tensor(DType::float32, {c.weight[0]})};
    for (std::size_t axis = 0; axis < 2; ++axis) {
      const std::int64_t span = dilation[axis] * (c.weight[axis + 1] - 1) + 1;
      out[axis + 1] = (c.in[axis + 1] + c.padding[axis] + c.padding[axis + 2] - span) / c.stride[axis] + 1;
    }
    const std::vector<TensorType> outputs = {feature_map(out)};
    return message_of(machine.driver->supports(*c.kernel(dilation, groups), inputs, outputs));
  };
  const Shape in = {1, 20, 20, 16};
  CHECK_THAT(message({.in = in, .weight = {4, 3, 3, 16}}, {2, 1}), Catch::Contains("no dilation, the call has 2x1"));
  CHECK_THAT(message({.in = in, .weight = {4, 3, 3, 8}}, {1, 1}, 2), Catch::Contains("no groups, the call has 2"));
  CHECK_THAT(message({.in = in, .weight = {4, 16, 1, 16}}), Catch::Contains("the call has 16x1"));
  CHECK_THAT(message({.in = in, .weight = {4, 9, 8, 16}}), Catch::Contains("64 positions, the call has 9x8"));
  CHECK_THAT(message({.in = in, .weight = {4, 3, 3, 16}, .stride = {8, 1}}), Catch::Contains("strides up to 7"));
  CHECK_THAT(message({.in = in, .weight = {4, 3, 3, 16}, .padding = {0, 0, 3, 0}}),
             Catch::Contains("padding smaller than the kernel"));
  const std::vector<TensorType> pair = {tensor(DType::complex64, {8}), tensor(DType::complex64, {8})};
  CHECK_THAT(message_of(machine.driver->supports(*kernel("zip", {{"operation", "add"}}), pair, {pair.data(), 1})),
             Catch::Contains("Conv2D runs the operation conv2d, not zip"));
}

TEST_CASE("every tile fits the buffers, and together they are the output") {
  Random random(31);
  for (int i = 0; i < 200; ++i) {
    const conv2d::Config config{8U << random.integer(0, 2), static_cast<std::uint32_t>(random.integer(32, 600)),
                                static_cast<std::uint32_t>(random.integer(25, 80)),
                                static_cast<std::uint32_t>(random.integer(4, 200)),
                                static_cast<std::uint32_t>(random.integer(4, 80))};
    Convolution c;
    c.in = {random.integer(1, 3), random.integer(5, 30), random.integer(5, 30), random.integer(1, 200)};
    c.weight = {random.integer(1, 200), random.integer(1, 5), random.integer(1, 5), c.in[3]};
    c.stride = {random.integer(1, 4), random.integer(1, 4)};
    for (std::size_t side = 0; side < 4; ++side) c.padding[side] = random.integer(0, c.weight[1 + side % 2] - 1);
    const Conv2DAttributes attributes{
        .window = {.kernel = {c.weight[1], c.weight[2]}, .stride = c.stride, .padding = c.padding}};
    const std::vector<TensorType> inputs = {feature_map(c.in)};
    const auto geometry = make_geometry(attributes, inputs, feature_map(c.out()), config);
    std::int64_t stored = 0;
    bool continued = false;
    for (const auto& command : tile_commands(geometry, choose_tiling(geometry, config), config)) {
      const std::uint32_t pixels = std::uint32_t{command.out_rows} * command.out_columns;
      const std::uint32_t steps = std::uint32_t{command.kernel_height} * command.kernel_width * command.in_words;
      CHECK(std::uint32_t{command.in_rows} * command.in_columns * command.in_words <= config.activation_words);
      CHECK(std::min({command.in_rows, command.in_columns, command.in_words, command.out_blocks}) >= 1);
      CHECK(steps <= config.weight_steps);
      CHECK(((command.flags & 1) != 0) == continued);
      continued = (command.flags & 2) != 0;
      if (command.flags != 0) CHECK(pixels * command.out_blocks <= config.partial_pixels);
      if (continued) continue;
      CHECK(pixels * command.out_words <= config.output_words);
      stored += pixels * command.out_words;
    }
    CHECK(stored == static_cast<std::int64_t>(feature_map(c.out()).bytes() / 16));
  }
}

TEST_CASE("ZIP equals the CPU for any length") {
  const std::int64_t length = GENERATE(1, 2, 3, 17, 1000);
  const std::string operation = GENERATE("add", "sub", "mul", "div", "conjugate_mul");
  Machine machine(soc_with("zip", {{"lanes", 2}}));
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

TEST_CASE("FFT equals the CPU, also in place") {
  const std::int64_t length = GENERATE(8, 64, 1024);
  const std::string direction = GENERATE("forward", "inverse");
  Machine machine(soc_with("fft", {{"max_log2", 10}}));
  Tensors tensors(machine.platform->memory());
  Random random(static_cast<std::uint32_t>(length));
  const std::vector<TensorView> inputs = {tensors.make(tensor(DType::complex64, {3, 2, length}))};
  const std::vector<TensorView> expected = {tensors.make(*inputs[0].type)};
  random.fill(inputs[0]);
  const auto fft = kernel("fft", {{"direction", direction}});
  run_on_cpu(*fft, inputs, expected);
  machine.run(*fft, inputs, inputs);
  CHECK(dense(inputs[0]) == dense(expected[0]));

  for (const std::int64_t other : {4, 2048}) {
    const std::vector<TensorType> types = {tensor(DType::complex64, {other})};
    CHECK_THAT(message_of(machine.driver->supports(*fft, types, types)),
               Catch::Contains("8..1024 points, not " + std::to_string(other)));
  }
}

TEST_CASE("one call at a time") {
  Machine machine(soc_with("zip", {{"lanes", 1}}));
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
  Machine machine(soc_with("zip", {{"lanes", 2}}));
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
  device.registers[page::capability0] = 16;
  for (std::uint32_t i = 1; i < 5; ++i) device.registers[page::capability0 + 4 * i] = 256;
  const auto driver = value_of(make_driver("c2d", device, platform->memory()));
  const Convolution c{.in = {1, 4, 4, 16}, .weight = {16, 3, 3, 16}};
  Tensors tensors(platform->memory());
  const std::vector<TensorView> inputs = {tensors.make(feature_map(c.in)), tensors.make(feature_map(c.weight)),
                                          tensors.make(tensor(DType::int32, {16})),
                                          tensors.make(tensor(DType::float32, {16}))};
  const std::vector<TensorView> outputs = {tensors.make(feature_map(c.out()))};
  require_ok(driver->start(*c.kernel(), inputs, outputs));
  for (int i = 0; i < 3; ++i) CHECK(value_of(driver->service()) == false);
  require_ok(driver->reset());
  CHECK(value_of(driver->service()) == true);
  require_ok(driver->start(*c.kernel(), inputs, outputs));
}

}  // namespace
}  // namespace cosoc::test
