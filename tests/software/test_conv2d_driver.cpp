/// The Conv2D driver over its functional model: the bits of the CPU kernels for every operation, programs kept and
/// given back, and what it refuses.
#include "drivers/conv2d/driver.hpp"
#include "software/support.hpp"

namespace cosoc::test {
namespace {

using Parameters = std::map<std::string, std::uint32_t>;

Parameters engine(std::uint32_t input_lanes, std::uint32_t output_lanes, std::uint32_t pixel_lanes,
                  std::uint32_t feature_words = 4096, std::uint32_t weight_steps = 512, std::uint32_t ports = 1) {
  return {{"activation_bits", 8},       {"input_lanes", input_lanes},     {"output_lanes", output_lanes},
          {"pixel_lanes", pixel_lanes}, {"feature_words", feature_words}, {"weight_steps", weight_steps},
          {"channel_blocks", 64},       {"memory_ports", ports},          {"memory_port_bits", 128}};
}

struct Convolution {
  Shape in;
  Shape weight;  // Cout, Kh, Kw, Cin / groups
  std::array<std::int64_t, 2> stride = {1, 1};
  std::array<std::int64_t, 4> padding = {};
  std::array<std::int64_t, 2> dilation = {1, 1};
  std::int64_t groups = 1;
  bool residual = false;
  std::int64_t pool = 0;  // kernel and stride of the pooling; 0: none
  bool average = false;   // it takes averages

  nlohmann::json attributes() const {
    nlohmann::json values = {
        {"stride", stride}, {"padding", padding}, {"dilation", dilation}, {"groups", groups}, {"clamp", {-120, 110}}};
    if (residual) values["residual_multiplier"] = 43210;
    if (pool != 0) {
      values["pool_kernel"] = {pool, pool};
      values["pool_stride"] = {pool, pool};
      values["pool_padding"] = {0, 0, 0, 0};
    }
    if (average) {
      values["pool_multiplier"] = 0.7 / static_cast<double>(pool * pool);
      values["pool_zero_point"] = 13;
      values["pool_clamp"] = {-99, 101};
    }
    return values;
  }
  Shape result() const {
    const auto extent = [&](std::size_t axis) {
      const std::int64_t span = dilation[axis] * (weight[axis + 1] - 1) + 1;
      return (in[axis + 1] + padding[axis] + padding[axis + 2] - span) / stride[axis] + 1;
    };
    return {in[0], extent(0), extent(1), weight[0]};
  }
  Shape out() const {
    Shape shape = result();
    if (pool == 0) return shape;
    shape[1] = (shape[1] - pool) / pool + 1;
    shape[2] = (shape[2] - pool) / pool + 1;
    return shape;
  }
};

/// Tensors of a call, filled at random; weights are never -128.
struct Call {
  Call(Machine& machine, const Convolution& c, Random& random, bool constant = true)
      : tensors(machine.platform->memory()) {
    const auto map = [&](const Shape& shape) {
      return feature_map(shape, 0.5F, static_cast<std::int32_t>(random.integer(-128, 127)));
    };
    inputs = {tensors.make(map(c.in)), tensors.make(feature_map(c.weight), constant),
              tensors.make(tensor(DType::int32, {c.weight[0]}), constant),
              tensors.make(tensor(DType::float32, {c.weight[0]}), constant)};
    if (c.residual) inputs.push_back(tensors.make(map(c.result())));
    const auto out = map(c.out());
    outputs = {tensors.make(out)};
    expected = {tensors.make(out)};
    fill(random);
  }

  void fill(Random& random) {
    for (const TensorView& view : inputs) {
      if (view.type->dtype == DType::int8) random.fill(view);
    }
    auto* weights = inputs[1].as<std::int8_t>();
    std::replace(weights, weights + inputs[1].type->bytes(), std::int8_t{-128}, std::int8_t{-127});
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

void check_convolution(Machine& machine, const Convolution& c, std::uint32_t seed) {
  Random random(seed);
  Call call(machine, c, random);
  const auto conv = kernel("conv2d", c.attributes());
  call.check(machine, *conv);
  CHECK(machine.driver->counters().commands == 1);
  CHECK(machine.driver->estimate_cycles(*conv, types_of(call.inputs), types_of(call.outputs)) > 0);
}

TEST_CASE("Conv2D equals the CPU for chosen shapes") {
  const Parameters config = GENERATE(engine(4, 4, 2), engine(16, 8, 2), engine(8, 8, 4, 4096, 512, 2));
  Machine machine(soc_with("c2d", config));
  check_convolution(machine, {.in = {1, 1, 1, 1}, .weight = {1, 1, 1, 1}}, 1);
  check_convolution(machine, {.in = {2, 9, 7, 3}, .weight = {5, 3, 3, 3}, .padding = {1, 1, 1, 1}}, 2);
  check_convolution(machine, {.in = {1, 32, 32, 20}, .weight = {40, 3, 3, 20}, .padding = {1, 1, 1, 1}}, 3);
  check_convolution(machine, {.in = {2, 9, 9, 16}, .weight = {33, 1, 1, 16}, .stride = {2, 3}}, 4);
  check_convolution(machine, {.in = {3, 4, 4, 40}, .weight = {10, 4, 4, 40}, .residual = true}, 5);
  check_convolution(machine, {.in = {7, 1, 1, 300}, .weight = {10, 1, 1, 300}}, 6);
  check_convolution(machine, {.in = {1, 15, 15, 4}, .weight = {6, 7, 7, 4}, .stride = {2, 2}, .padding = {3, 3, 3, 3}},
                    7);
  check_convolution(machine, {.in = {1, 9, 9, 24}, .weight = {24, 3, 3, 1}, .padding = {1, 1, 1, 1}, .groups = 24}, 8);
  check_convolution(machine, {.in = {1, 9, 8, 12}, .weight = {18, 3, 2, 4}, .dilation = {2, 3}, .groups = 3}, 9);
  check_convolution(
      machine, {.in = {1, 12, 10, 8}, .weight = {20, 3, 3, 8}, .padding = {1, 1, 1, 1}, .residual = true, .pool = 2},
      10);
}

TEST_CASE("Conv2D equals the CPU for random shapes and small buffers") {
  Random random(77);
  for (std::uint32_t i = 0; i < 40; ++i) {
    Machine machine(soc_with(
        "c2d", engine(4U << random.integer(0, 2), 4U << random.integer(0, 2), 1U << random.integer(0, 3), 1024, 128)));
    Convolution c;
    c.groups = random.integer(0, 3) == 0 ? random.integer(2, 4) : 1;
    const std::int64_t depth = random.integer(1, 40);
    c.in = {random.integer(1, 2), random.integer(5, 12), random.integer(5, 12), depth * c.groups};
    c.weight = {random.integer(1, 20) * c.groups, random.integer(1, 3), random.integer(1, 3), depth};
    c.stride = {random.integer(1, 3), random.integer(1, 3)};
    c.dilation = {random.integer(1, 2), random.integer(1, 2)};
    for (std::size_t side = 0; side < 4; ++side) c.padding[side] = random.integer(0, 2);
    c.residual = random.integer(0, 2) == 0;
    if (c.result()[1] >= 2 && c.result()[2] >= 2) c.pool = random.integer(0, 3) == 0 ? 2 : 0;
    c.average = c.pool != 0 && random.integer(0, 1) == 0;
    INFO("case " << i);
    check_convolution(machine, c, 200 + i);
  }
}

TEST_CASE("Conv2D averages its results, on chip or by way of memory") {
  // The second engine has no room for the larger results.
  const Parameters config = GENERATE(engine(16, 8, 2), engine(8, 8, 4, 1024, 256, 2));
  Machine machine(soc_with("c2d", config));
  check_convolution(machine, {.in = {1, 7, 7, 20}, .weight = {40, 1, 1, 20}, .pool = 7, .average = true}, 21);
  check_convolution(machine,
                    {.in = {2, 9, 9, 3},
                     .weight = {16, 3, 3, 3},
                     .stride = {2, 2},
                     .padding = {1, 1, 1, 1},
                     .residual = true,
                     .pool = 2,
                     .average = true},
                    22);
  check_convolution(machine,
                    {.in = {1, 26, 30, 16},
                     .weight = {37, 3, 3, 16},
                     .padding = {1, 1, 1, 1},
                     .residual = true,
                     .pool = 5,
                     .average = true},
                    23);
  check_convolution(machine, {.in = {1, 24, 24, 24}, .weight = {24, 3, 3, 1}, .groups = 24, .pool = 2, .average = true},
                    24);
}

TEST_CASE("pooling and addition run on Conv2D with the bits of the CPU") {
  Machine machine(soc_with("c2d", engine(16, 8, 2)));
  Tensors tensors(machine.platform->memory());
  Random random(3);
  const auto& a = tensors.make(feature_map({2, 9, 8, 21}, 0.5F, 4));
  const auto& b = tensors.make(feature_map({2, 9, 8, 21}, 0.3F, -90));
  random.fill(a);
  random.fill(b);
  const auto check = [&](const Kernel& kernel, const std::vector<TensorView>& inputs, const TensorType& type) {
    const std::vector<TensorView> expected = {tensors.make(type)};
    const std::vector<TensorView> found = {tensors.make(type)};
    run_on_cpu(kernel, inputs, expected);
    machine.run(kernel, inputs, found);
    CHECK(dense(found[0]) == dense(expected[0]));
  };
  const nlohmann::json window = {{"kernel", {3, 2}}, {"stride", {2, 2}}, {"padding", {1, 0, 1, 0}}};
  nlohmann::json average = window;
  average["multiplier"] = 0.31;
  average["clamp"] = {-90, 100};
  check(*kernel("max_pool2d", window), {a}, feature_map({2, 5, 4, 21}, 0.5F, 4));
  check(*kernel("average_pool2d", average), {a}, feature_map({2, 5, 4, 21}, 0.25F, -6));
  check(*kernel("add", {{"multipliers", {0.6, 0.43}}, {"clamp", {-128, 120}}}), {a, b},
        feature_map({2, 9, 8, 21}, 0.7F, 11));
}

TEST_CASE("Conv2D packs constants once and notices new ones at the same place") {
  Machine machine(soc_with("c2d", engine(16, 8, 2)));
  const Convolution c{.in = {1, 6, 6, 16}, .weight = {16, 3, 3, 16}};
  const auto conv = kernel("conv2d", c.attributes());
  Random random(5);
  const std::size_t ring_only = machine.platform->memory().bytes_in_use();
  std::size_t with_packed = 0;
  for (int model = 0; model < 3; ++model) {
    Call call(machine, c, random);
    call.check(machine, *conv);
    const std::size_t in_use = machine.platform->memory().bytes_in_use();
    call.check(machine, *conv);
    CHECK(machine.platform->memory().bytes_in_use() == in_use);
  }
  // Zero points differ from model to model, programs of unloaded models are given back.
  {
    Call call(machine, c, random);
    call.check(machine, *conv);
    with_packed = machine.platform->memory().bytes_in_use();
  }
  {
    Call call(machine, c, random);
    call.check(machine, *conv);
    CHECK(machine.platform->memory().bytes_in_use() == with_packed);
  }
  {
    Call call(machine, c, random, false);
    call.check(machine, *conv);
    call.fill(random);
    call.check(machine, *conv);
  }
  machine.driver = value_of(make_driver("c2d", machine.platform->accelerator(0), machine.platform->memory()));
  CHECK(machine.platform->memory().bytes_in_use() == ring_only);
}

const conv2d::Conv2DDriver& conv2d_driver(const Machine& machine) {
  return dynamic_cast<const conv2d::Conv2DDriver&>(*machine.driver);
}

TEST_CASE("one program serves other inputs and outputs of the same layer") {
  Machine machine(soc_with("c2d", engine(16, 8, 2)));
  const Convolution c{
      .in = {1, 6, 7, 16}, .weight = {24, 3, 3, 16}, .padding = {1, 1, 1, 1}, .residual = true, .pool = 2};
  const auto conv = kernel("conv2d", c.attributes());
  Random random(8);
  Call call(machine, c, random);
  Tensors others(machine.platform->memory());
  const auto& input = others.make(*call.inputs[0].type);
  const auto& residual = others.make(*call.inputs[4].type);
  const auto& output = others.make(*call.outputs[0].type);
  call.check(machine, *conv);
  const std::size_t in_use = machine.platform->memory().bytes_in_use();
  REQUIRE(conv2d_driver(machine).compilations() == 1);

  random.fill(input);
  random.fill(residual);
  const std::vector<std::byte> first = dense(call.outputs[0]);
  const std::vector<TensorView> inputs = {input, call.inputs[1], call.inputs[2], call.inputs[3], residual};
  run_on_cpu(*conv, inputs, call.expected);
  machine.run(*conv, inputs, {&output, &output + 1});
  CHECK(dense(output) == dense(call.expected[0]));
  CHECK(dense(output) != first);
  CHECK(dense(call.outputs[0]) == first);
  random.fill(call.inputs[0]);
  call.check(machine, *conv);
  CHECK(conv2d_driver(machine).compilations() == 1);
  CHECK(machine.platform->memory().bytes_in_use() == in_use);
}

TEST_CASE("Conv2D compiles again what it met so many calls ago") {
  Machine machine(soc_with("c2d", engine(16, 8, 2)));
  const conv2d::Conv2DDriver& driver = conv2d_driver(machine);
  const Convolution c{.in = {1, 1, 1, 1}, .weight = {1, 1, 1, 1}};
  const auto conv = kernel("conv2d", c.attributes());
  // Calls differ in their zero points.
  const auto meet = [&](std::size_t number) {
    const auto zero_point = [&](std::size_t value) { return static_cast<std::int32_t>(value) - 128; };
    const std::vector<TensorType> inputs = {feature_map(c.in, 1, zero_point(number % 256)), feature_map(c.weight),
                                            tensor(DType::int32, {1}), tensor(DType::float32, {1})};
    const TensorType output = feature_map(c.out(), 1, zero_point(number / 256));
    require_ok(driver.supports(*conv, inputs, {&output, 1}));
    return driver.compilations();
  };
  constexpr std::size_t most = conv2d::Conv2DDriver::max_met;
  for (std::size_t number = 0; number < most; ++number) meet(number);
  CHECK(meet(0) == most);
  CHECK(meet(most) == most + 1);
  CHECK(meet(1) == most + 1);
  CHECK(meet(most) == most + 1);
  CHECK(meet(0) == most + 2);
  CHECK(meet(1) == most + 3);
}

TEST_CASE("Conv2D refuses what it cannot do, and says why") {
  Machine machine(soc_with("c2d", engine(16, 8, 2, 256, 64)));
  const auto message = [&](const Convolution& c) {
    const std::vector<TensorType> inputs = {feature_map(c.in), feature_map(c.weight),
                                            tensor(DType::int32, {c.weight[0]}), tensor(DType::float32, {c.weight[0]})};
    const std::vector<TensorType> outputs = {feature_map(c.out())};
    return message_of(machine.driver->supports(*kernel("conv2d", c.attributes()), inputs, outputs));
  };
  CHECK_THAT(message({.in = {1, 20, 20, 16}, .weight = {4, 3, 3, 16}, .stride = {8, 1}}), Catch::Contains("stride"));
  CHECK_THAT(message({.in = {1, 60, 60, 600}, .weight = {4, 3, 3, 600}}), Catch::Contains("feature_words = 256"));
  const std::vector<TensorType> pair = {tensor(DType::complex64, {8}), tensor(DType::complex64, {8})};
  CHECK_THAT(message({.in = {1, 60, 60, 16}, .weight = {4, 1, 1, 16}, .pool = 9, .average = true}),
             Catch::Contains("stride of rows = 9"));
  CHECK_THAT(message_of(machine.driver->supports(*kernel("zip", {{"operation", "add"}}), pair, {pair.data(), 1})),
             Catch::Contains("not zip"));

  Random random(6);
  const Convolution c{.in = {1, 2, 2, 1}, .weight = {1, 1, 1, 1}};
  Call call(machine, c, random);
  call.inputs[1].as<std::int8_t>()[0] = -128;
  CHECK_THAT(message_of(machine.driver->start(*kernel("conv2d", c.attributes()), call.inputs, call.outputs)),
             Catch::Contains("-128"));
}

}  // namespace
}  // namespace cosoc::test
