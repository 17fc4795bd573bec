/// Transposed and one-dimensional convolutions, and int16 feature maps: the CPU kernels against plain references, and
/// the Conv2D driver over its functional model against the CPU kernels.
#include <cmath>

#include "software/support.hpp"

namespace cosoc::test {
namespace {

using nlohmann::json;

TensorType map_of(DType dtype, Shape shape, std::int32_t zero_point = 0) {
  return {.dtype = dtype, .shape = std::move(shape), .scale = 0.5F, .zero_point = zero_point};
}

std::map<std::string, std::uint32_t> engine(std::uint32_t activation_bits, std::uint32_t pixel_lanes,
                                            std::uint32_t memory_port_bits = 128) {
  return {{"activation_bits", activation_bits},
          {"input_lanes", 8},
          {"output_lanes", 8},
          {"pixel_lanes", pixel_lanes},
          {"feature_words", 4096},
          {"weight_steps", 1024},
          {"channel_blocks", 64},
          {"memory_ports", 1},
          {"memory_port_bits", memory_port_bits}};
}

/// A value of a feature map, or `outside`.
std::int64_t value_at(const TensorView& view, std::int64_t n, std::int64_t y, std::int64_t x, std::int64_t c,
                      std::int64_t outside) {
  const auto& shape = view.type->shape;
  if (y < 0 || y >= shape[1] || x < 0 || x >= shape[2]) return outside;
  return with_activation(view.type->dtype, [&]<class Activation>(Activation) -> std::int64_t {
    const std::size_t pitch = view.type->pixel_pitch() / sizeof(Activation);
    const auto pixel = static_cast<std::size_t>((n * shape[1] + y) * shape[2] + x);
    return view.as<Activation>()[pixel * pitch + static_cast<std::size_t>(c)];
  });
}

/// Tensors of a call on random values; sums of the products that the reference makes lie in the range of the output.
struct Call {
  Call(DeviceMemory& memory, DType dtype, const Shape& in, const Shape& weight, const Shape& out, Random& random)
      : tensors(memory) {
    const std::int32_t zero_point = dtype == DType::int8 ? -7 : 300;
    inputs = {tensors.make(map_of(dtype, in, zero_point)), tensors.make(map_of(DType::int8, weight), true),
              tensors.make(tensor(DType::int32, {weight[0]}), true),
              tensors.make(tensor(DType::float32, {weight[0]}), true)};
    outputs = {tensors.make(map_of(dtype, out, 11))};
    expected = {tensors.make(map_of(dtype, out, 11))};
    random.fill(inputs[0]);
    random.fill(inputs[1]);
    auto* weights = inputs[1].as<std::int8_t>();
    std::replace(weights, weights + inputs[1].type->bytes(), std::int8_t{-128}, std::int8_t{-127});
    const auto products = static_cast<float>(weight[1] * weight[2] * weight[3]);
    for (std::int64_t i = 0; i < weight[0]; ++i) {
      inputs[2].as<std::int32_t>()[i] = static_cast<std::int32_t>(random.integer(-30000, 30000));
      inputs[3].as<float>()[i] = random.real(0.5F, 1.5F) / (70.0F * std::sqrt(products));
    }
  }

  /// The same call on the accelerator gives the bits of the CPU.
  void compare(Machine& machine, const Kernel& kernel) {
    run_on_cpu(kernel, inputs, expected);
    machine.run(kernel, inputs, outputs);
    REQUIRE(dense(outputs[0]) == dense(expected[0]));
  }

  Tensors tensors;
  std::vector<TensorView> inputs;
  std::vector<TensorView> outputs;
  std::vector<TensorView> expected;
};

json transposed_attributes(const Shape& stride, const Shape& padding, const Shape& output_padding,
                           const Shape& dilation, std::int64_t groups, const Shape& clamp) {
  return {{"stride", stride},     {"padding", padding}, {"output_padding", output_padding},
          {"dilation", dilation}, {"groups", groups},   {"clamp", clamp}};
}

struct Transposed {
  Shape in;
  Shape weight;
  Shape stride = {1, 1};
  Shape padding = {0, 0, 0, 0};
  Shape output_padding = {0, 0};
  Shape dilation = {1, 1};
  std::int64_t groups = 1;

  Shape out() const {
    const auto extent = [&](std::size_t axis) {
      return (in[axis + 1] - 1) * stride[axis] + dilation[axis] * (weight[axis + 1] - 1) + 1 - padding[axis] -
             padding[axis + 2] + output_padding[axis];
    };
    return {in[0], extent(0), extent(1), weight[0]};
  }
  json attributes(DType dtype) const {
    const Shape clamp = dtype == DType::int8 ? Shape{-120, 110} : Shape{-30000, 32000};
    return transposed_attributes(stride, padding, output_padding, dilation, groups, clamp);
  }
};

const std::vector<Transposed> transposed_cases = {
    {.in = {1, 1, 1, 1}, .weight = {1, 1, 1, 1}},
    {.in = {2, 4, 5, 20}, .weight = {9, 2, 2, 20}, .stride = {2, 2}},
    {.in = {1, 5, 4, 16},
     .weight = {16, 3, 3, 16},
     .stride = {2, 2},
     .padding = {1, 1, 1, 1},
     .output_padding = {1, 1}},
    {.in = {1, 6, 5, 3}, .weight = {5, 4, 3, 3}, .stride = {1, 3}, .padding = {2, 0, 1, 1}, .dilation = {2, 1}},
    {.in = {1, 3, 4, 12}, .weight = {12, 1, 2, 4}, .stride = {3, 4}, .groups = 3},
    {.in = {1, 1, 9, 8}, .weight = {4, 1, 5, 8}, .stride = {1, 2}, .padding = {0, 2, 0, 2}, .output_padding = {0, 1}},
};

/// Every input adds its products to the outputs that it reaches: the definition of the gradient of a convolution.
std::vector<std::int64_t> scattered(const Transposed& c, const TensorView& in, const TensorView& weight) {
  const Shape out = c.out();
  std::vector<std::int64_t> sums(static_cast<std::size_t>(out[0] * out[1] * out[2] * out[3]));
  const std::int64_t depth = c.weight[3];
  const std::int64_t per_group = c.weight[0] / c.groups;
  for (std::int64_t n = 0; n < c.in[0]; ++n) {
    for (std::int64_t y = 0; y < c.in[1]; ++y) {
      for (std::int64_t x = 0; x < c.in[2]; ++x) {
        for (std::int64_t ky = 0; ky < c.weight[1]; ++ky) {
          for (std::int64_t kx = 0; kx < c.weight[2]; ++kx) {
            const std::int64_t row = y * c.stride[0] + ky * c.dilation[0] - c.padding[0];
            const std::int64_t column = x * c.stride[1] + kx * c.dilation[1] - c.padding[1];
            if (row < 0 || row >= out[1] || column < 0 || column >= out[2]) continue;
            for (std::int64_t o = 0; o < out[3]; ++o) {
              auto& sum = sums[static_cast<std::size_t>(((n * out[1] + row) * out[2] + column) * out[3] + o)];
              for (std::int64_t i = 0; i < depth; ++i) {
                const std::int64_t value = value_at(in, n, y, x, o / per_group * depth + i, 0);
                sum += (value - in.type->zero_point) * value_at(weight, o, ky, kx, i, 0);
              }
            }
          }
        }
      }
    }
  }
  return sums;
}

/// A value of the output, by the rule of the documents without residual.
std::int64_t rounded(std::int64_t sum, float multiplier, std::int64_t zero_point, const Shape& clamp) {
  const float product = static_cast<float>(sum) * multiplier;
  // No integer before it is clamped: it may be larger than all.
  const double shifted = static_cast<double>(std::nearbyint(product)) + static_cast<double>(zero_point);
  return static_cast<std::int64_t>(std::clamp(shifted, static_cast<double>(clamp[0]), static_cast<double>(clamp[1])));
}

TEST_CASE("conv_transpose2d on the CPU is what inputs scatter over the output") {
  const DType dtype = GENERATE(DType::int8, DType::int16);
  const auto platform = make_cpu_platform(16 << 20);
  Random random(1);
  for (const Transposed& c : transposed_cases) {
    Call call(platform->memory(), dtype, c.in, c.weight, c.out(), random);
    const auto sums = scattered(c, call.inputs[0], call.inputs[1]);
    std::vector<std::int32_t> offsets;
    const std::int64_t positions = c.weight[1] * c.weight[2];
    for (std::int64_t o = 0; o < c.weight[0]; ++o) {
      std::int64_t total = 0;
      for (std::int64_t tap = 0; tap < positions; ++tap) {
        for (std::int64_t i = 0; i < c.weight[3]; ++i) {
          total += value_at(call.inputs[1], o, tap / c.weight[2], tap % c.weight[2], i, 0);
        }
      }
      offsets.push_back(call.inputs[2].as<std::int32_t>()[o]);
      call.inputs[2].as<std::int32_t>()[o] -= static_cast<std::int32_t>(total * call.inputs[0].type->zero_point);
    }
    const json attributes = c.attributes(dtype);
    run_on_cpu(*kernel("conv_transpose2d", attributes), call.inputs, call.outputs);
    const Shape out = c.out();
    for (std::size_t i = 0; i < sums.size(); ++i) {
      const auto place = static_cast<std::int64_t>(i);
      const auto o = static_cast<std::size_t>(place % out[3]);
      const std::int64_t pixel = place / out[3];
      const std::int64_t found = value_at(call.outputs[0], pixel / (out[1] * out[2]), pixel / out[2] % out[1],
                                          pixel % out[2], place % out[3], 0);
      REQUIRE(found == rounded(sums[i] + offsets[o], call.inputs[3].as<float>()[o], 11, attributes["clamp"]));
    }
  }
}

TEST_CASE("Conv2D runs conv_transpose2d with the bits of the CPU") {
  const auto [bits, lanes] = GENERATE(std::pair{8U, 2U}, std::pair{8U, 4U}, std::pair{16U, 2U});
  Machine machine(soc_with("c2d", engine(bits, lanes)));
  const DType dtype = bits == 8 ? DType::int8 : DType::int16;
  Random random(2);
  for (const Transposed& c : transposed_cases) {
    Call call(machine.platform->memory(), dtype, c.in, c.weight, c.out(), random);
    call.compare(machine, *kernel("conv_transpose2d", c.attributes(dtype)));
  }
}

struct Forward {
  Shape in;
  Shape weight;
  Shape stride = {1, 1};
  Shape padding = {0, 0, 0, 0};
  Shape dilation = {1, 1};
  std::int64_t groups = 1;

  Shape out() const {
    const auto extent = [&](std::size_t axis) {
      const std::int64_t span = dilation[axis] * (weight[axis + 1] - 1) + 1;
      return (in[axis + 1] + padding[axis] + padding[axis + 2] - span) / stride[axis] + 1;
    };
    return {in[0], extent(0), extent(1), weight[0]};
  }
  json attributes(DType dtype) const {
    return {{"stride", stride},
            {"padding", padding},
            {"dilation", dilation},
            {"groups", groups},
            {"clamp", dtype == DType::int8 ? Shape{-128, 127} : Shape{-32768, 32767}}};
  }
};

/// What issue after issue asks of a convolution: kernels up to 11 and of one row or column, strides up to 4, padding
/// of any side, dilation, groups, depthwise, few channels, whole images, one row.
const std::vector<Forward> forward_cases = {
    {.in = {1, 6, 7, 20}, .weight = {9, 3, 3, 20}, .padding = {1, 1, 1, 1}},
    {.in = {1, 16, 15, 3}, .weight = {8, 11, 11, 3}, .stride = {4, 4}, .padding = {2, 3, 4, 1}},
    {.in = {1, 5, 12, 8}, .weight = {8, 1, 7, 8}, .padding = {0, 3, 0, 3}},
    {.in = {1, 12, 5, 8}, .weight = {8, 7, 1, 8}, .stride = {3, 1}, .padding = {3, 0, 2, 0}},
    {.in = {1, 9, 9, 6}, .weight = {10, 3, 3, 3}, .padding = {2, 0, 0, 1}, .dilation = {2, 3}, .groups = 2},
    {.in = {2, 7, 6, 18}, .weight = {18, 3, 3, 1}, .padding = {1, 1, 1, 1}, .groups = 18},
    {.in = {3, 1, 1, 50}, .weight = {10, 1, 1, 50}},
    {.in = {2, 4, 4, 16}, .weight = {10, 4, 4, 16}},
    {.in = {2, 1, 30, 4}, .weight = {12, 1, 9, 4}, .stride = {1, 2}, .padding = {0, 8, 0, 0}, .dilation = {1, 2}},
};

TEST_CASE("Conv2D runs every kind of convolution with the bits of the CPU") {
  const auto [bits, lanes, port_bits] =
      GENERATE(std::tuple{8U, 2U, 64U}, std::tuple{16U, 2U, 128U}, std::tuple{16U, 4U, 32U});
  Machine machine(soc_with("c2d", engine(bits, lanes, port_bits)));
  const DType dtype = bits == 8 ? DType::int8 : DType::int16;
  Random random(3);
  for (const Forward& c : forward_cases) {
    Call call(machine.platform->memory(), dtype, c.in, c.weight, c.out(), random);
    call.compare(machine, *kernel("conv2d", c.attributes(dtype)));
  }
}

TEST_CASE("int16 sums may be above 32 bits") {
  const auto platform = make_cpu_platform(16 << 20);
  Random random(4);
  const Forward c{.in = {1, 2, 2, 600}, .weight = {3, 2, 2, 600}};
  Call call(platform->memory(), DType::int16, c.in, c.weight, c.out(), random);
  std::fill_n(call.inputs[0].as<std::int16_t>(), 4 * 600, std::int16_t{-32768});
  std::fill_n(call.inputs[1].as<std::int8_t>(), call.inputs[1].type->bytes(), std::int8_t{-127});
  const std::int64_t sum = std::int64_t{4} * 600 * 32768 * 127;
  for (int i = 0; i < 3; ++i) call.inputs[3].as<float>()[i] = 3e-6F;
  run_on_cpu(*kernel("conv2d", c.attributes(DType::int16)), call.inputs, call.outputs);
  Machine machine(soc_with("c2d", engine(16, 2)));
  for (std::int64_t o = 0; o < 3; ++o) {
    const std::int64_t wanted = rounded(sum + call.inputs[2].as<std::int32_t>()[o], 3e-6F, 11, {-32768, 32767});
    CHECK(wanted > 29000);
    CHECK(value_at(call.outputs[0], 0, 0, 0, o, 0) == wanted);
  }
}

TEST_CASE("Conv2D adds, pools and fuses int16 with the bits of the CPU") {
  Machine machine(soc_with("c2d", engine(16, 2)));
  Tensors tensors(machine.platform->memory());
  Random random(5);
  const auto check = [&](const Kernel& kernel, const std::vector<TensorView>& inputs, const TensorType& type) {
    const std::vector<TensorView> found = {tensors.make(type)}, expected = {tensors.make(type)};
    run_on_cpu(kernel, inputs, expected);
    machine.run(kernel, inputs, found);
    REQUIRE(dense(found[0]) == dense(expected[0]));
  };
  const auto& a = tensors.make(map_of(DType::int16, {2, 9, 8, 21}, 400));
  const auto& b = tensors.make(map_of(DType::int16, {2, 9, 8, 21}, -9000));
  random.fill(a);
  random.fill(b);
  const json window = {{"kernel", {3, 2}}, {"stride", {2, 2}}, {"padding", {1, 0, 1, 0}}};
  json average = window;
  average["multiplier"] = 0.31;
  average["clamp"] = {-30000, 31000};
  check(*kernel("max_pool2d", window), {a}, map_of(DType::int16, {2, 5, 4, 21}, 400));
  check(*kernel("average_pool2d", average), {a}, map_of(DType::int16, {2, 5, 4, 21}, -600));
  check(*kernel("add", {{"multipliers", {0.6, 0.43}}, {"clamp", {-32768, 12000}}}), {a, b},
        map_of(DType::int16, {2, 9, 8, 21}, 1100));

  const Forward c{.in = {2, 9, 8, 21}, .weight = {21, 3, 3, 21}, .padding = {1, 1, 1, 1}};
  Call call(machine.platform->memory(), DType::int16, c.in, c.weight, {2, 4, 4, 21}, random);
  json fused = c.attributes(DType::int16);
  fused["residual_multiplier"] = 12345678;  // 0.74 of 2^24
  fused["pool_kernel"] = fused["pool_stride"] = {2, 2};
  fused["pool_padding"] = {0, 0, 0, 0};
  call.inputs.push_back(b);
  call.compare(machine, *kernel("conv2d", fused));
}

TEST_CASE("add of int16 is exact before its rounding") {
  const auto platform = make_cpu_platform(16 << 20);
  Tensors tensors(platform->memory());
  Random random(6);
  const auto& a = tensors.make(map_of(DType::int16, {1, 8, 8, 3}, 4));
  const auto& b = tensors.make(map_of(DType::int16, {1, 8, 8, 3}, -90));
  const auto& out = tensors.make(map_of(DType::int16, {1, 8, 8, 3}, 11));
  random.fill(a);
  random.fill(b);
  run_on_cpu(*kernel("add", {{"multipliers", {0.5, 0.4375}}, {"clamp", {-20000, 12000}}}), {a, b}, {out});
  const auto x = dense_values<std::int16_t>(a), y = dense_values<std::int16_t>(b), z = dense_values<std::int16_t>(out);
  for (std::size_t i = 0; i < x.size(); ++i) {
    // Exact in double precision.
    const auto sum = static_cast<std::int64_t>(std::nearbyint((x[i] - 4) * 0.5 + (y[i] + 90) * 0.4375));
    REQUIRE(z[i] == std::clamp<std::int64_t>(sum + 11, -20000, 12000));
  }
}

TEST_CASE("quantize and dequantize know int16 and one dimension") {
  const auto platform = make_cpu_platform(16 << 20);
  Tensors tensors(platform->memory());
  Random random(7);
  const auto& in = tensors.make(tensor(DType::float32, {2, 3, 7}));
  const auto& map = tensors.make({.dtype = DType::int16, .shape = {2, 1, 7, 3}, .scale = 1e-4F, .zero_point = -5000});
  const auto& back = tensors.make(tensor(DType::float32, {2, 3, 7}));
  random.fill(in);
  in.as<float>()[0] = 1e30F;
  run_on_cpu(*kernel("quantize", json::object()), {in}, {map});
  run_on_cpu(*kernel("dequantize", json::object()), {map}, {back});
  CHECK(value_at(map, 0, 0, 0, 0, 0) == 32767);
  for (std::int64_t i = 0; i < 42; ++i) {
    const std::int64_t stored = value_at(map, i / 21, 0, i % 7, i / 7 % 3, 0);
    REQUIRE(stored == rounded(1, in.as<float>()[i] * (1.0F / 1e-4F), -5000, {-32768, 32767}));
    REQUIRE(back.as<float>()[i] == static_cast<float>(stored + 5000) * 1e-4F);
  }
}

TEST_CASE("an engine refuses the other width of activations, and says which one has it") {
  const auto message = [](std::uint32_t bits, DType dtype) {
    Machine machine(soc_with("c2d", engine(bits, 2)));
    const std::vector<TensorType> pair = {map_of(dtype, {1, 4, 4, 8}), map_of(dtype, {1, 4, 4, 8})};
    const auto add = kernel("add", {{"multipliers", {1, 1}}, {"clamp", {0, 6}}});
    return message_of(machine.driver->supports(*add, pair, {pair.data(), 1}));
  };
  CHECK_THAT(message(8, DType::int16),
             Catch::Contains("int8 activations, not int16[1, 4, 4, 8]") && Catch::Contains("c2d_activation_bits=16"));
  CHECK_THAT(message(16, DType::int8),
             Catch::Contains("int16 activations, not int8[1, 4, 4, 8]") && Catch::Contains("c2d_activation_bits=8"));
}

TEST_CASE("types that do not fit are named") {
  const auto message = [](std::string_view name, const json& attributes, const std::vector<TensorType>& inputs,
                          const TensorType& output) {
    return message_of(kernel(name, attributes)->check(inputs, {&output, 1}));
  };
  const json sum = {{"multipliers", {1, 1}}, {"clamp", {-200, 200}}};
  const TensorType small = map_of(DType::int8, {1, 1, 1, 1}), wide = map_of(DType::int16, {1, 1, 1, 1});
  CHECK_THAT(message("add", sum, {small, small}, small),
             Catch::Contains("the clamp -200..200 is not possible for int8"));
  CHECK_THAT(message("add", sum, {wide, small}, wide), Catch::Contains("input 1 must be int16, not int8"));
  CHECK_THAT(message("add", {{"multipliers", {1, 16}}, {"clamp", {0, 6}}}, {wide, wide}, wide),
             Catch::Contains("below 16"));
  const TensorType shifted = map_of(DType::int8, {1, 1, 1, 1}, 128);
  CHECK_THAT(message("add", {{"multipliers", {1, 1}}, {"clamp", {0, 6}}}, {shifted, small}, small),
             Catch::Contains("-128..127"));
  const Transposed c{.in = {1, 2, 2, 4}, .weight = {6, 3, 3, 4}, .padding = {3, 3, 3, 3}};
  const std::vector<TensorType> inputs = {map_of(DType::int8, c.in), map_of(DType::int8, c.weight),
                                          tensor(DType::int32, {6}), tensor(DType::float32, {6})};
  CHECK_THAT(message("conv_transpose2d", c.attributes(DType::int8), inputs, small),
             Catch::Contains("leaves no output"));
  const Transposed wider{.in = {1, 2, 2, 4}, .weight = {6, 3, 3, 4}};
  CHECK_THAT(message("conv_transpose2d", wider.attributes(DType::int8), inputs, small),
             Catch::Contains("output 0 must be int8[1, 4, 4, 6], not int8[1, 1, 1, 1]"));
}

}  // namespace
}  // namespace cosoc::test
