/// Functions of one element that XNNPACK computes, and what it gets.
#include <catch2/catch.hpp>
#include <functional>

#include "fenced.hpp"
#include "kernels/dense/unary.hpp"
#include "kernels/dense/xnnpack.hpp"

using namespace cosoc;
using namespace cosoc::test;
namespace xnnpack = cosoc::dense::xnnpack;

namespace {

struct Function {
  std::string_view operation;
  std::vector<float> parameters;
  std::function<double(double)> exact;
};

const std::vector<Function> functions = {
    // The power overflows in PyTorch too, where the result would be subnormal.
    {"sigmoid", {}, [](double x) { return 1.0 / (1.0 + static_cast<float>(std::exp(-x))); }},
    {"elu", {1.0F, 1.0F, 1.0F}, [](double x) { return x <= 0.0 ? std::expm1(x) : x; }},
    {"elu", {0.3F, 1.0F, 1.0F}, [](double x) { return x <= 0.0 ? double{0.3F} * std::expm1(x) : x; }},
    {"elu",
     {1.67F, 1.05F, 1.0F},
     [](double x) { return double{1.05F} * (x <= 0.0 ? double{1.67F} * std::expm1(x) : x); }},
};

void check_function(const Function& function, const float* in, float* out, std::int64_t count) {
  REQUIRE(dense::map_real(
      {.operation = function.operation, .parameters = function.parameters, .in = in, .out = out, .count = count}));
  std::int64_t wrong = 0;
  for (std::int64_t i = 0; i < count; ++i) {
    const auto expected = static_cast<double>(static_cast<float>(function.exact(in[i])));
    // Subnormal results are there as such.
    const double room = std::max(1e-6 * std::abs(expected), 0x1p-148);
    const bool same =
        is_near(out[i], expected, room) && (expected != 0.0 || std::signbit(out[i]) == std::signbit(expected));
    if (!same) UNSCOPED_INFO(function.operation << "(" << in[i] << ") = " << out[i] << ", expected " << expected);
    wrong += same ? 0 : 1;
  }
  CHECK(wrong == 0);
}

}  // namespace

TEST_CASE("XNNPACK gets ordinary values", "[xnnpack]") {
  if (!xnnpack::is_available()) return;
  std::vector<float> in(4096), out(4096);
  fill(in.data(), 4096);
  for (const Function& function : functions) {
    const dense::RealCall call = {.operation = function.operation,
                                  .parameters = function.parameters,
                                  .in = in.data(),
                                  .out = out.data(),
                                  .count = 4096};
    const bool scaled = function.parameters.size() == 3 && function.parameters[1] != 1.0F;
    REQUIRE(xnnpack::has_map(function.operation, function.parameters) == !scaled);
    if (!scaled) CHECK(xnnpack::map(call));
  }
  CHECK_FALSE(xnnpack::has_map("gelu", {}));
  CHECK(xnnpack::average_planes(in.data(), 64, 64, out.data()) == 64);
  CHECK(xnnpack::average_planes(in.data(), 4096, 1, out.data()) == 4096);
  CHECK(xnnpack::average_planes(in.data(), 1, 1025, out.data()) == 0);
  CHECK(xnnpack::resample_planes(in.data(), 16, {4, 8}, {8, 16}, false, out.data()) == 16);
  // Positions that float32 does not hold, and steps of which XNNPACK knows nothing.
  CHECK(xnnpack::resample_planes(in.data(), 16, {4, 8}, {12, 16}, false, out.data()) == 0);
  CHECK(xnnpack::resample_planes(in.data(), 16, {4, 8}, {8, 16}, true, out.data()) == 0);
}

TEST_CASE("XNNPACK does not get what it has other results for", "[xnnpack]") {
  for (const float special : {not_a_number, infinity, -infinity, -0.0F, 0x1p-149F, -1e-40F, 0x1p-40F, 0x1p40F}) {
    INFO(special);
    std::vector<float> values(64, 1.5F), out(256);
    CHECK(xnnpack::within(values.data(), 64, 0x1p-39F, 0x1p39F));
    values[37] = special;
    CHECK_FALSE(xnnpack::within(values.data(), 64, 0x1p-39F, 0x1p39F));
    CHECK(xnnpack::within(values.data(), 37, 0x1p-39F, 0x1p39F));
    // The last plane is a part of its own.
    CHECK(xnnpack::average_planes(values.data(), 2, 32, out.data()) == (xnnpack::is_available() ? 1 : 0));
    CHECK(xnnpack::average_planes(values.data() + 32, 2, 16, out.data()) == 0);
    CHECK(xnnpack::resample_planes(values.data() + 32, 2, {4, 4}, {8, 8}, false, out.data()) == 0);
  }
  const std::vector<float> zeros(64, 0.0F);
  CHECK(xnnpack::within(zeros.data(), 64, 0x1p-39F, 0x1p39F));
  const std::vector<float> negative(64, -0.0F);
  CHECK(xnnpack::within(negative.data(), 64, 0.0F, 1.0F));
}

TEST_CASE("functions keep special values, wherever they stand", "[xnnpack]") {
  for (const Function& function : functions) {
    for (std::size_t at = 0; at < 2 * xnnpack::map_block + 80; at += 511) {
      std::vector<float> in(2 * xnnpack::map_block + 80), out(in.size());
      fill(in.data(), static_cast<std::int64_t>(in.size()));
      in[at] = specials[at / 511 % specials.size()];
      check_function(function, in.data(), out.data(), static_cast<std::int64_t>(in.size()));
    }
    std::vector<float> out(specials.size());
    check_function(function, specials.data(), out.data(), static_cast<std::int64_t>(specials.size()));
    for (const float special : specials) {
      const std::vector<float> in(64, special);
      out.resize(64);
      check_function(function, in.data(), out.data(), 64);
    }
  }
}

TEST_CASE("ordinary values have the same result wherever they lie", "[xnnpack]") {
  std::vector<float> in(5000), whole(5000), part(5000);
  fill(in.data(), 5000);
  for (const Function& function : functions) {
    check_function(function, in.data(), whole.data(), 5000);
    for (const std::int64_t first : {1, 3, 17, 4090}) {
      check_function(function, in.data() + first, part.data(), 5000 - first - 2);
      CHECK(std::equal(part.begin(), part.begin() + 5000 - first - 2, whole.begin() + first));
    }
  }
}

TEST_CASE("functions touch nothing beside their operands", "[xnnpack]") {
  for (const bool at_end : {true, false}) {
    for (std::int64_t count = 1; count < 70; ++count) {
      const Fenced in(count, at_end), out(count, at_end);
      fill(in.data(), count);
      for (const Function& function : functions) check_function(function, in.data(), out.data(), count);
    }
    for (const std::int64_t count : {4095, 4096, 4097, 4112, 8192, 10000}) {
      const Fenced in(count, at_end), out(count, at_end);
      fill(in.data(), count);
      for (const Function& function : functions) check_function(function, in.data(), out.data(), count);
    }
  }
}
