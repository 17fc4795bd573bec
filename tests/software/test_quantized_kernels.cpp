/// The int8 kernels but convolutions against plain references that index every value on its own.
#include <algorithm>
#include <array>

#include "kernels/arithmetic.hpp"
#include "kernels/quantized/requantize.hpp"
#include "software/quantized.hpp"

namespace cosoc::test {
namespace {

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

TEST_CASE("quantize and dequantize keep the order of axes where channels are last") {
  Memory memory;
  Random random(11);
  const nlohmann::json last = {{"channels_last", true}};
  const auto& map = memory.tensors.make(feature_map({2, 1, 5, 3}, 0.03F, -7));
  for (const std::vector<std::int64_t>& shape : {std::vector<std::int64_t>{2, 5, 3}, {2, 1, 5, 3}}) {
    const auto& in = memory.tensors.make(tensor(DType::float32, shape));
    const auto& back = memory.tensors.make(tensor(DType::float32, shape));
    random.fill(in);
    run_on_cpu(*kernel("quantize", last), {in}, {map});
    run_on_cpu(*kernel("dequantize", last), {map}, {back});
    for (std::int64_t i = 0; i < 30; ++i) {
      const int stored = value_at(map, i / 15, 0, i / 3 % 5, i % 3, 0);
      REQUIRE(stored == rescaled(in.as<float>()[i] * (1.0F / 0.03F), -7, -128, 127));
      REQUIRE(back.as<float>()[i] == static_cast<float>(stored + 7) * 0.03F);
    }
  }
  for (const std::vector<std::int64_t>& shape : {std::vector<std::int64_t>{2, 3, 5}, {2, 15}, {2, 3, 1, 5}}) {
    const TensorType in = tensor(DType::float32, shape);
    const auto& out = *map.type;
    CHECK_FALSE(kernel("quantize", last)->check(std::array{in}, std::array{out}));
    CHECK_FALSE(kernel("dequantize", last)->check(std::array{out}, std::array{in}));
  }
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
