/// The int8 kernels against plain references that index every value on its own.
#include <algorithm>
#include <array>
#include <cfenv>
#include <cmath>

#include "kernels/arithmetic.hpp"
#include "kernels/prepare.hpp"
#include "kernels/quantized/requantize.hpp"
#include "software/support.hpp"

namespace cosoc::test {
namespace {

struct Memory {
  std::unique_ptr<WallClockPlatform> platform = make_cpu_platform(16 << 20);
  Tensors tensors{platform->memory()};
};

/// Round half to even in integers and doubles, independent of the rounding mode.
std::int64_t half_to_even(double value) {
  const double low = std::floor(value);
  const double rest = value - low;
  if (rest != 0.5) return static_cast<std::int64_t>(std::floor(value + 0.5));
  return static_cast<std::int64_t>(std::fmod(low, 2.0) == 0.0 ? low : low + 1);
}

std::int8_t rescaled(float value, std::int64_t zero_point, std::int64_t low, std::int64_t high) {
  const double limited = std::clamp(static_cast<double>(value), -2147483648.0, 2147483647.0);
  return static_cast<std::int8_t>(std::clamp(half_to_even(limited) + zero_point, low, high));
}

/// A value of a feature map, or `outside` in the padding.
int value_at(const TensorView& view, std::int64_t n, std::int64_t y, std::int64_t x, std::int64_t c, int outside) {
  const auto& shape = view.type->shape;
  if (y < 0 || y >= shape[1] || x < 0 || x >= shape[2]) return outside;
  const auto pitch = static_cast<std::int64_t>(view.type->pixel_pitch());
  return view.as<std::int8_t>()[((n * shape[1] + y) * shape[2] + x) * pitch + c];
}

struct ConvolutionCase {
  Shape in;
  Shape weight;  // Cout, Kh, Kw, Cin / groups
  std::array<std::int64_t, 2> stride = {1, 1};
  std::array<std::int64_t, 4> padding = {};
  std::array<std::int64_t, 2> dilation = {1, 1};
  std::int64_t groups = 1;
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
  for (std::int64_t i = 0; i < c.weight[0]; ++i) {
    bias.as<std::int32_t>()[i] = static_cast<std::int32_t>(random.integer(-20000, 20000));
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
}

TEST_CASE("sums are requantized in bulk as they are one by one") {
  Random random(3);
  const std::array<float, 6> multipliers = {0x1p-17F, 0x3p-20F, 1.0F, 0x1p-130F, 0x1p20F, 0.0123F};
  for (int i = 0; i < 20000; ++i) {
    // Small sums meet ties, large ones the limits.
    const std::int64_t reach = std::int64_t{1} << random.integer(1, 31);
    const auto sum = static_cast<std::int32_t>(random.integer(-reach, reach - 1));
    const float multiplier = multipliers[static_cast<std::size_t>(random.integer(0, 5))];
    const std::int32_t bias = 0;
    const auto residual = static_cast<std::int8_t>(random.integer(-128, 127));
    const quantized::Requantization rule = {.bias = &bias,
                                            .multiplier = &multiplier,
                                            .zero_point = static_cast<std::int32_t>(random.integer(-128, 127)),
                                            .clamp = {-120, 100},
                                            .residual_multiplier = std::int64_t{1} << random.integer(0, 27),
                                            .residual_zero_point = 5};
    std::int8_t found = 0;
    quantized::requantize(rule, &sum, 1, &found);
    REQUIRE(found == requantize<std::int8_t>(sum, multiplier, rule.zero_point, rule.clamp));
    quantized::requantize(rule, &sum, &residual, 1, &found);
    const std::int64_t added = (residual - 5) * rule.residual_multiplier;
    REQUIRE(found == requantize_with_residual<std::int8_t>(sum, multiplier, added, rule.zero_point, rule.clamp));
  }
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

TEST_CASE("requantization rounds half to even, saturates and clamps") {
  CHECK(requantize<std::int8_t>(1, 0.5F, 0, {-128, 127}) == 0);
  CHECK(requantize<std::int8_t>(3, 0.5F, 0, {-128, 127}) == 2);
  CHECK(requantize<std::int8_t>(-5, 0.5F, 1, {-128, 127}) == -1);
  CHECK(requantize<std::int8_t>(INT32_MAX, 1e30F, -128, {-128, 127}) == 127);
  CHECK(requantize<std::int8_t>(INT32_MIN, 1e30F, 127, {-128, 127}) == -128);
  CHECK(requantize<std::int8_t>(1000, 1.0F, 0, {0, 6}) == 6);
  CHECK(round_to_int32(0x1p31F) == INT32_MAX);
  CHECK(round_to_int32(-0x1p31F) == INT32_MIN);
  CHECK(round_to_int32(std::numeric_limits<float>::quiet_NaN()) == 0);
  CHECK(wrapping_add(INT32_MAX, 1) == INT32_MIN);
}

TEST_CASE("pooling, with padding channels that hold anything") {
  Memory memory;
  Random random(8);
  const auto& in = memory.tensors.make(feature_map({2, 7, 8, 5}, 0.5F, 4));
  const auto& largest = memory.tensors.make(feature_map({2, 4, 4, 5}, 0.5F, 4));
  const auto& average = memory.tensors.make(feature_map({2, 4, 4, 5}, 0.25F, -6));
  random.fill(in);
  const nlohmann::json window = {{"kernel", {3, 2}}, {"stride", {2, 2}}, {"padding", {1, 0, 1, 0}}};
  nlohmann::json average_attributes = window;
  average_attributes["multiplier"] = 0.31;
  average_attributes["clamp"] = {-90, 100};
  run_on_cpu(*kernel("max_pool2d", window), {in}, {largest});
  run_on_cpu(*kernel("average_pool2d", average_attributes), {in}, {average});
  for (std::int64_t i = 0; i < largest.type->elements(); ++i) {
    const std::int64_t c = i % 5, x = i / 5 % 4, y = i / 20 % 4, n = i / 80;
    int highest = -128;
    std::int32_t sum = 0;
    for (std::int64_t ky = 0; ky < 3; ++ky) {
      for (std::int64_t kx = 0; kx < 2; ++kx) {
        highest = std::max(highest, value_at(in, n, 2 * y - 1 + ky, 2 * x + kx, c, -128));
        sum += value_at(in, n, 2 * y - 1 + ky, 2 * x + kx, c, 4) - 4;
      }
    }
    REQUIRE(value_at(largest, n, y, x, c, 0) == highest);
    REQUIRE(value_at(average, n, y, x, c, 0) == rescaled(static_cast<float>(sum) * 0.31F, -6, -90, 100));
  }
}

TEST_CASE("add rescales both operands") {
  Memory memory;
  Random random(9);
  const auto& a = memory.tensors.make(feature_map({1, 16, 16, 3}, 0.5F, 4));
  const auto& b = memory.tensors.make(feature_map({1, 16, 16, 3}, 0.3F, -90));
  const auto& out = memory.tensors.make(feature_map({1, 16, 16, 3}, 0.7F, 11));
  random.fill(a);
  random.fill(b);
  run_on_cpu(*kernel("add", {{"multipliers", {0.5, 0.4375}}, {"clamp", {-20, 120}}}), {a, b}, {out});
  const auto x = dense_values<std::int8_t>(a);
  const auto y = dense_values<std::int8_t>(b);
  const auto z = dense_values<std::int8_t>(out);
  for (std::size_t i = 0; i < x.size(); ++i) {
    // These products and their sum are exact in float32.
    REQUIRE(z[i] == rescaled(static_cast<float>((x[i] - 4) * 0.5 + (y[i] + 90) * 0.4375), 11, -20, 120));
  }
}

TEST_CASE("quantize and dequantize change the order of axes") {
  Memory memory;
  Random random(10);
  const auto& in = memory.tensors.make(tensor(DType::float32, {2, 3, 4, 5}));
  const auto& map = memory.tensors.make(feature_map({2, 4, 5, 3}, 0.03F, -7));
  const auto& back = memory.tensors.make(tensor(DType::float32, {2, 3, 4, 5}));
  const auto& flat = memory.tensors.make(tensor(DType::float32, {2, 60}));
  random.fill(in);
  in.as<float>()[0] = std::numeric_limits<float>::quiet_NaN();
  in.as<float>()[1] = 1e30F;
  in.as<float>()[2] = -1e30F;
  const auto none = nlohmann::json::object();
  run_on_cpu(*kernel("quantize", none), {in}, {map});
  run_on_cpu(*kernel("dequantize", none), {map}, {back});
  run_on_cpu(*kernel("dequantize", none), {map}, {flat});
  CHECK(value_at(map, 0, 0, 0, 0, 0) == -7);
  CHECK(value_at(map, 0, 0, 1, 0, 0) == 127);
  CHECK(value_at(map, 0, 0, 2, 0, 0) == -128);
  for (std::int64_t i = 3; i < 120; ++i) {
    const int stored = value_at(map, i / 60, i / 5 % 4, i % 5, i / 20 % 3, 0);
    REQUIRE(stored == rescaled(in.as<float>()[i] * (1.0F / 0.03F), -7, -128, 127));
    REQUIRE(back.as<float>()[i] == static_cast<float>(stored + 7) * 0.03F);
    REQUIRE(flat.as<float>()[i] == back.as<float>()[i]);
  }

  const auto& vector = memory.tensors.make(tensor(DType::float32, {2, 20}));
  const auto& pixel = memory.tensors.make(feature_map({2, 1, 1, 20}, 0.5F, 0));
  random.fill(vector);
  run_on_cpu(*kernel("quantize", none), {vector}, {pixel});
  REQUIRE(value_at(pixel, 1, 0, 0, 19, 0) == rescaled(vector.as<float>()[39] * 2.0F, 0, -128, 127));
}

nlohmann::json conv_attributes() {
  return {{"stride", {1, 1}}, {"padding", {0, 0, 0, 0}}, {"dilation", {1, 1}}, {"groups", 1}, {"clamp", {-128, 127}}};
}

TEST_CASE("wrong attributes are named") {
  CHECK_THAT(message_of(make_kernel("conv3d", {})),
             Catch::StartsWith("unknown operation 'conv3d'; there are add, ") && Catch::Contains(", conv2d, "));
  auto attributes = conv_attributes();
  attributes.erase("groups");
  CHECK_THAT(message_of(make_kernel("conv2d", attributes)), Catch::Contains("attribute 'groups' is missing"));
  attributes = conv_attributes();
  attributes["strides"] = 1;
  CHECK_THAT(message_of(make_kernel("conv2d", attributes)), Catch::Contains("unknown attribute 'strides'; there are"));
  for (const auto& stride : {nlohmann::json(1), nlohmann::json({1}), nlohmann::json({0, 1}), nlohmann::json({1, 1.5}),
                             nlohmann::json({"1", 1}), nlohmann::json({1, 1e300})}) {
    attributes = conv_attributes();
    attributes["stride"] = stride;
    CHECK_THAT(message_of(make_kernel("conv2d", attributes)), Catch::Contains("attribute 'stride' must be 2 integers"));
  }
  CHECK_THAT(message_of(make_kernel("conv2d", nlohmann::json::array())), Catch::Contains("must be an object"));
  CHECK_THAT(message_of(make_kernel("add", {{"multipliers", {1e300, 1}}, {"clamp", {0, 1}}})),
             Catch::Contains("2 finite float32 numbers"));
  CHECK_THAT(message_of(make_kernel("add", {{"multipliers", {1, 1}}, {"clamp", {2, 1}}})), Catch::Contains("clamp"));
  CHECK_THAT(message_of(make_kernel("zip", {{"operation", "pow"}})), Catch::Contains("one of add, sub, mul, div"));
}

TEST_CASE("attributes come back as they went in") {
  const std::vector<std::pair<std::string, nlohmann::json>> all = {
      {"conv2d", conv_attributes()},
      {"conv_transpose2d",
       {{"stride", {2, 1}},
        {"padding", {0, 1, 0, 1}},
        {"output_padding", {1, 0}},
        {"dilation", {1, 2}},
        {"groups", 2},
        {"clamp", {-128, 127}}}},
      {"max_pool2d", {{"kernel", {2, 3}}, {"stride", {2, 1}}, {"padding", {0, 1, 0, 1}}}},
      {"add", {{"multipliers", {0.5, 2.0}}, {"clamp", {-128, 127}}}},
      {"fft", {{"direction", "inverse"}}},
      {"zip", {{"operation", "conjugate_mul"}}},
      {"transpose", nlohmann::json::object()}};
  const auto names = kernel_names();
  for (const auto& [name, attributes] : all) {
    CHECK(kernel(name, attributes)->attributes() == attributes);
    CHECK(std::count(names.begin(), names.end(), name) == 1);
  }
}

TEST_CASE("wrong types are named") {
  const auto convolution = kernel("conv2d", conv_attributes());
  std::vector<TensorType> inputs = {feature_map({1, 8, 8, 4}), feature_map({6, 3, 3, 4}), tensor(DType::int32, {6}),
                                    tensor(DType::float32, {6})};
  std::vector<TensorType> outputs = {feature_map({1, 6, 6, 6})};
  require_ok(convolution->check(inputs, outputs));
  const auto message = [&] { return message_of(convolution->check(inputs, outputs)); };
  SECTION("count") {
    inputs.pop_back();
    CHECK_THAT(message(), Catch::Contains("expected 4 inputs and 1 outputs, found 3 and 1"));
  }
  SECTION("output shape") {
    outputs[0].shape[1] = 7;
    CHECK_THAT(message(), Catch::Contains("output 0 must be int8[1, 6, 6, 6], not int8[1, 7, 6, 6]"));
  }
  SECTION("channels") {
    inputs[1].shape[3] = 5;
    CHECK_THAT(message(), Catch::Contains("input 1 must be int8[6, 3, 3, 4]"));
  }
  SECTION("dtype") {
    inputs[2].dtype = DType::float32;
    CHECK_THAT(message(), Catch::Contains("input 2 must be int32"));
  }
  SECTION("kernel too large") {
    inputs[0].shape[1] = 2;
    CHECK_THAT(message(), Catch::Contains("does not fit"));
  }
  SECTION("zero point") {
    inputs[0].zero_point = 200;
    CHECK_THAT(message(), Catch::Contains("zero point"));
  }
  SECTION("extent") {
    inputs[0].shape[0] = 0;
    CHECK_THAT(message(), Catch::Contains("extent below 1"));
  }
  SECTION("sums that could overflow") {
    inputs[0] = feature_map({1, 1, 1, 200000});
    inputs[1] = feature_map({6, 1, 1, 200000});
    outputs[0] = feature_map({1, 1, 1, 6});
    CHECK_THAT(message(), Catch::Contains("overflow int32"));
  }
}

TEST_CASE("sizes of tensors") {
  CHECK(feature_map({2, 3, 4, 17}).bytes() == 2 * 3 * 4 * 32);
  CHECK(feature_map({2, 3, 4, 17}).dense_bytes() == 2 * 3 * 4 * 17);
  CHECK(tensor(DType::complex64, {3, 5}).bytes() == 120);
  CHECK(tensor(DType::float32, {}).elements() == 1);
  CHECK(tensor(DType::float32, {1 << 30, 1 << 30, 1 << 30}).bytes() == SIZE_MAX);
  CHECK(feature_map({1 << 30, 1 << 30, 1 << 30, 1}).bytes() == SIZE_MAX);
  CHECK(value_of(dtype_of("complex64")) == DType::complex64);
  CHECK_THAT(message_of(dtype_of("float16")), Catch::Contains("float16"));
}

}  // namespace
}  // namespace cosoc::test
