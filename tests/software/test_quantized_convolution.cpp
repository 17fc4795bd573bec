/// int8 convolutions against a plain reference that indexes every value on its own.
#include <algorithm>
#include <array>

#include "kernels/prepare.hpp"
#include "software/quantized.hpp"

namespace cosoc::test {
namespace {

struct ConvolutionCase {
  Shape in;
  Shape weight;  // Cout, Kh, Kw, Cin / groups
  std::array<std::int64_t, 2> stride = {1, 1};
  std::array<std::int64_t, 4> padding = {};
  std::array<std::int64_t, 2> dilation = {1, 1};
  std::int64_t groups = 1;
  bool lowest = false;  // all operands are -128, and biases bring the largest sums that there are near to zero
};

std::int64_t extent(std::int64_t in, std::int64_t padding, std::int64_t kernel, std::int64_t dilation,
                    std::int64_t stride) {
  return (in + padding - dilation * (kernel - 1) - 1) / stride + 1;
}

void check_convolution(const ConvolutionCase& c, std::uint32_t seed) {
  Memory memory;
  Random random(seed);
  const std::int64_t rows = extent(c.in[1], c.padding[0] + c.padding[2], c.weight[1], c.dilation[0], c.stride[0]);
  const std::int64_t columns = extent(c.in[2], c.padding[1] + c.padding[3], c.weight[2], c.dilation[1], c.stride[1]);
  const auto& in = memory.tensors.make(feature_map(c.in, 0.5F, -3));
  const auto& weight = memory.tensors.make(feature_map(c.weight));
  const auto& bias = memory.tensors.make(tensor(DType::int32, {c.weight[0]}));
  const auto& multiplier = memory.tensors.make(tensor(DType::float32, {c.weight[0]}));
  const auto& out = memory.tensors.make(feature_map({c.in[0], rows, columns, c.weight[0]}, 0.25F, 9));
  random.fill(in);
  random.fill(weight);
  std::int64_t offset = 0;
  if (c.lowest) {
    for (const TensorView& view : {in, weight}) std::fill_n(view.as<std::int8_t>(), view.type->bytes(), INT8_MIN);
    offset = c.weight[1] * c.weight[2] * c.weight[3] * INT8_MIN * INT8_MIN;
  }
  for (std::int64_t i = 0; i < c.weight[0]; ++i) {
    bias.as<std::int32_t>()[i] = static_cast<std::int32_t>(random.integer(-20000, 20000) - offset);
    multiplier.as<float>()[i] = random.real(1e-4F, 5e-3F);
  }
  const auto whole = kernel("conv2d", {{"stride", c.stride},
                                       {"padding", c.padding},
                                       {"dilation", c.dilation},
                                       {"groups", c.groups},
                                       {"clamp", {-100, 90}}});
  run_on_cpu(*whole, {in, weight, bias, multiplier}, {out});
  // With packed weights the bits are the same.
  const std::vector<std::byte> expected(out.block.data, out.block.data + out.type->bytes());
  std::fill_n(out.block.data, out.type->bytes(), std::byte{0});
  std::vector<TensorView> inputs = {in, weight, bias, multiplier};
  inputs[1].constant = true;
  const auto packed = dynamic_cast<const Preparable&>(*whole).prepare(inputs, std::array{*out.type});
  REQUIRE(packed != nullptr);
  run_on_cpu(*packed, {in, weight, bias, multiplier}, {out});
  REQUIRE(std::ranges::equal(expected, std::span(out.block.data, out.type->bytes())));

  const std::int64_t group_out = c.weight[0] / c.groups;
  for (std::int64_t i = 0; i < out.type->elements(); ++i) {
    const std::int64_t channel = i % c.weight[0];
    const std::int64_t x = i / c.weight[0] % columns;
    const std::int64_t y = i / c.weight[0] / columns % rows;
    const std::int64_t n = i / c.weight[0] / columns / rows;
    std::int64_t sum = bias.as<std::int32_t>()[channel];
    for (std::int64_t ky = 0; ky < c.weight[1]; ++ky) {
      for (std::int64_t kx = 0; kx < c.weight[2]; ++kx) {
        for (std::int64_t d = 0; d < c.weight[3]; ++d) {
          const int value =
              value_at(in, n, y * c.stride[0] - c.padding[0] + ky * c.dilation[0],
                       x * c.stride[1] - c.padding[1] + kx * c.dilation[1], channel / group_out * c.weight[3] + d, -3);
          sum += value * value_at(weight, channel, ky, kx, d, 0);
        }
      }
    }
    const float product = static_cast<float>(sum) * multiplier.as<float>()[channel];
    INFO("element " << i);
    REQUIRE(value_at(out, n, y, x, channel, 0) == rescaled(product, 9, -100, 90));
  }
}

TEST_CASE("conv2d of chosen shapes") {
  check_convolution({.in = {1, 1, 1, 1}, .weight = {1, 1, 1, 1}}, 1);
  check_convolution({.in = {2, 9, 7, 3}, .weight = {5, 3, 3, 3}, .padding = {1, 1, 1, 1}}, 2);
  check_convolution({.in = {1, 8, 8, 32}, .weight = {17, 3, 3, 32}, .stride = {2, 2}, .padding = {0, 0, 1, 1}}, 3);
  check_convolution({.in = {3, 4, 4, 20}, .weight = {10, 4, 4, 20}}, 4);
  check_convolution({.in = {1, 6, 6, 8}, .weight = {8, 3, 3, 1}, .padding = {1, 1, 1, 1}, .groups = 8}, 5);
  check_convolution({.in = {1, 12, 11, 4}, .weight = {6, 3, 2, 2}, .dilation = {2, 3}, .groups = 2}, 6);
  check_convolution({.in = {1, 5, 5, 2}, .weight = {3, 3, 3, 2}, .stride = {3, 1}, .padding = {4, 5, 6, 7}}, 7);
  check_convolution({.in = {5, 1, 1, 300}, .weight = {10, 1, 1, 300}}, 8);
  // 3x3 without stride and with many channels: computed with fewer products.
  check_convolution({.in = {2, 7, 8, 20}, .weight = {19, 3, 3, 20}, .padding = {1, 1, 1, 1}}, 9);
  check_convolution({.in = {1, 9, 6, 48}, .weight = {60, 3, 3, 16}, .padding = {0, 2, 1, 0}, .groups = 3}, 10);
  check_convolution({.in = {1, 3, 3, 16}, .weight = {16, 3, 3, 16}}, 11);
  // Up to 3,640 channels four times a sum fits int32.
  check_convolution({.in = {1, 4, 4, 3640}, .weight = {16, 3, 3, 3640}, .lowest = true}, 12);
  check_convolution({.in = {1, 4, 4, 3641}, .weight = {16, 3, 3, 3641}, .lowest = true}, 13);
}

TEST_CASE("conv2d of random shapes") {
  Random random(42);
  for (std::uint32_t i = 0; i < 25; ++i) {
    ConvolutionCase c;
    c.groups = random.integer(1, 3);
    const std::int64_t depth = random.integer(1, 20);
    c.in = {random.integer(1, 2), random.integer(5, 10), random.integer(5, 10), depth * c.groups};
    c.weight = {random.integer(1, 7) * c.groups, random.integer(1, 3), random.integer(1, 3), depth};
    c.stride = {random.integer(1, 3), random.integer(1, 3)};
    c.dilation = {random.integer(1, 2), random.integer(1, 2)};
    for (auto& side : c.padding) side = random.integer(0, 3);
    check_convolution(c, 100 + i);
  }
}

TEST_CASE("conv2d adds a residual before it rounds, and pools its result") {
  Memory memory;
  Random random(77);
  const Shape shape = {2, 6, 7, 5};
  const auto& in = memory.tensors.make(feature_map({2, 6, 7, 3}, 0.5F, -3));
  const auto& weight = memory.tensors.make(feature_map({5, 1, 1, 3}));
  const auto& bias = memory.tensors.make(tensor(DType::int32, {5}));
  const auto& multiplier = memory.tensors.make(tensor(DType::float32, {5}));
  const auto& residual = memory.tensors.make(feature_map(shape, 0.3F, 17));
  const auto& sum = memory.tensors.make(feature_map(shape, 0.25F, 9));
  const auto& separate = memory.tensors.make(feature_map({2, 3, 3, 5}, 0.25F, 9));
  const auto& pooled = memory.tensors.make(feature_map({2, 3, 3, 5}, 0.25F, 9));
  random.fill(in);
  random.fill(weight);
  random.fill(residual);
  // Dyadic multipliers make the whole sum exact in double precision, and ties frequent.
  for (std::int64_t i = 0; i < 5; ++i) {
    bias.as<std::int32_t>()[i] = static_cast<std::int32_t>(random.integer(-2000, 2000));
    multiplier.as<float>()[i] = i % 2 == 0 ? 0x1p-7F : 0x3p-9F;
  }
  nlohmann::json attributes = {
      {"stride", {1, 1}}, {"padding", {0, 0, 0, 0}}, {"dilation", {1, 1}}, {"groups", 1}, {"clamp", {-100, 90}}};
  attributes["residual_multiplier"] = 3 << 14;  // 0.75
  run_on_cpu(*kernel("conv2d", attributes), {in, weight, bias, multiplier, residual}, {sum});
  const nlohmann::json window = {{"kernel", {2, 3}}, {"stride", {2, 2}}, {"padding", {0, 0, 0, 0}}};
  for (const auto& [name, value] : window.items()) attributes["pool_" + name] = value;
  run_on_cpu(*kernel("conv2d", attributes), {in, weight, bias, multiplier, residual}, {pooled});
  run_on_cpu(*kernel("max_pool2d", window), {sum}, {separate});
  CHECK(dense_values<std::int8_t>(pooled) == dense_values<std::int8_t>(separate));
  for (std::int64_t i = 0; i < sum.type->elements(); ++i) {
    const std::int64_t c = i % 5, x = i / 5 % 7, y = i / 35 % 6, n = i / 210;
    std::int64_t products = bias.as<std::int32_t>()[c];
    for (std::int64_t d = 0; d < 3; ++d) products += value_at(in, n, y, x, d, 0) * value_at(weight, c, 0, 0, d, 0);
    const double value = static_cast<double>(products) * static_cast<double>(multiplier.as<float>()[c]) +
                         0.75 * (value_at(residual, n, y, x, c, 0) - 17);
    INFO("element " << i);
    REQUIRE(value_at(sum, n, y, x, c, 0) == std::clamp<std::int64_t>(half_to_even(value) + 9, -100, 90));
  }
  CHECK(kernel("conv2d", attributes)->attributes() == attributes);
}

TEST_CASE("conv2d with averages equals conv2d and average_pool2d") {
  const DType dtype = GENERATE(DType::int8, DType::int16);
  Memory memory;
  Random random(78);
  const auto map = [&](Shape shape, std::int32_t zero_point) {
    return TensorType{.dtype = dtype, .shape = std::move(shape), .scale = 0.5F, .zero_point = zero_point};
  };
  const auto& in = memory.tensors.make(map({2, 6, 7, 3}, -3));
  const auto& weight = memory.tensors.make(feature_map({5, 1, 1, 3}));
  const auto& bias = memory.tensors.make(tensor(DType::int32, {5}));
  const auto& multiplier = memory.tensors.make(tensor(DType::float32, {5}));
  const auto& result = memory.tensors.make(map({2, 6, 7, 5}, 21));
  const auto& separate = memory.tensors.make(map({2, 4, 4, 5}, -9));
  const auto& fused = memory.tensors.make(map({2, 4, 4, 5}, -9));
  random.fill(in);
  random.fill(weight);
  for (std::int64_t i = 0; i < 5; ++i) {
    bias.as<std::int32_t>()[i] = static_cast<std::int32_t>(random.integer(-2000, 2000));
    multiplier.as<float>()[i] = random.real(0.002F, 0.01F);
  }
  nlohmann::json attributes = {
      {"stride", {1, 1}}, {"padding", {0, 0, 0, 0}}, {"dilation", {1, 1}}, {"groups", 1}, {"clamp", {-100, 90}}};
  const nlohmann::json average = {
      {"kernel", {3, 2}}, {"stride", {2, 2}}, {"padding", {2, 1, 1, 1}}, {"multiplier", 0.3125}, {"clamp", {-80, 70}}};
  run_on_cpu(*kernel("conv2d", attributes), {in, weight, bias, multiplier}, {result});
  run_on_cpu(*kernel("average_pool2d", average), {result}, {separate});
  for (const auto& [name, value] : average.items()) attributes["pool_" + name] = value;
  attributes["pool_zero_point"] = 21;
  const auto together = kernel("conv2d", attributes);
  run_on_cpu(*together, {in, weight, bias, multiplier}, {fused});
  CHECK(dense(fused) == dense(separate));
  CHECK(together->attributes() == attributes);

  const std::vector<TensorType> inputs = {*in.type, *weight.type, *bias.type, *multiplier.type};
  const auto message = [&](const char* name, const nlohmann::json& value) {
    nlohmann::json wrong = attributes;
    wrong[name] = value;
    return message_of(kernel("conv2d", wrong)->check(inputs, {fused.type, 1}));
  };
  CHECK_THAT(message("pool_kernel", {12, 12}), Catch::Contains("the kernel does not fit"));
  CHECK_THAT(message("pool_padding", {0, 2, 0, 0}), Catch::Contains("padding must be smaller"));
  if (dtype == DType::int8) {
    CHECK_THAT(message("pool_zero_point", 128), Catch::Contains("zero point"));
    CHECK_THAT(message("pool_clamp", {-129, 0}), Catch::Contains("clamp -129..0"));
  }
  attributes.erase("pool_zero_point");
  CHECK_THAT(message_of(make_kernel("conv2d", attributes)), Catch::Contains("pool_zero_point"));
  for (const char* name : {"kernel", "stride", "padding"}) attributes.erase(std::string("pool_") + name);
  CHECK_THAT(message_of(make_kernel("conv2d", attributes)), Catch::Contains("unknown attribute"));
}

}  // namespace
}  // namespace cosoc::test
