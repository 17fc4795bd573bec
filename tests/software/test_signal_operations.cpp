/// Transforms of real signals, transforms with a product, and int16: on a CPU against plain references, on the
/// functional model against what they are made of, and why an accelerator refuses.
#include <cmath>
#include <complex>
#include <numbers>

#include "kernels/arithmetic.hpp"
#include "software/support.hpp"

namespace cosoc::test {
namespace {

using Wide = std::complex<double>;

std::map<std::string, std::uint32_t> with_options(std::uint32_t max_log2) {
  auto config = fft_config(max_log2);
  config["real_input"] = config["multiply"] = 1;
  return config;
}

std::int64_t bins_of(std::int64_t length) { return length / 2 + 1; }

TEST_CASE("rfft on a CPU has the bins of the definition, for any length") {
  const auto length = GENERATE(1, 2, 3, 6, 7, 16, 17, 60, 250, 256, 1009, 2048);
  const auto platform = make_cpu_platform(4 << 20);
  Tensors tensors(platform->memory());
  Random random(1);
  const auto& x = tensors.make(tensor(DType::float32, {2, length}));
  const auto& y = tensors.make(tensor(DType::complex64, {2, bins_of(length)}));
  random.fill(x);
  run_on_cpu(*kernel("rfft", nlohmann::json::object()), {x}, {y});
  double error = 0, norm = 0;
  for (std::int64_t row = 0; row < 2; ++row) {
    for (std::int64_t k = 0; k < bins_of(length); ++k) {
      Wide exact = 0;
      for (std::int64_t n = 0; n < length; ++n) {
        const double turns = static_cast<double>(n * k % length) / static_cast<double>(length);
        exact += double{x.as<float>()[row * length + n]} * std::polar(1.0, -2 * std::numbers::pi * turns);
      }
      const Complex found = y.as<Complex>()[row * bins_of(length) + k];
      error += std::norm(exact - Wide(found.re, found.im));
      norm += std::norm(exact);
    }
  }
  CHECK(std::sqrt(error / norm) < 0x1p-24 * 2 * (3 + std::log2(length)));
}

TEST_CASE("rfft on the accelerator splits the transform of the samples as complex numbers") {
  Machine machine(soc_with("fft", with_options(6)));
  Tensors tensors(machine.platform->memory());
  Random random(2);
  const auto& x = tensors.make(tensor(DType::float32, {3, 32}));
  const auto& y = tensors.make(tensor(DType::complex64, {3, 17}));
  const auto& z = tensors.make(tensor(DType::complex64, {3, 16}));
  random.fill(x);
  TensorView packed = x;
  packed.type = z.type;
  machine.run(*kernel("rfft", nlohmann::json::object()), {x}, {y});
  CHECK(machine.driver->counters().commands == 1);
  machine.run(*kernel("fft", {{"direction", "forward"}}), {packed}, {z});
  for (std::size_t row = 0; row < 3; ++row) {
    for (std::size_t k = 0; k <= 16; ++k) {
      const Complex a = z.as<Complex>()[row * 16 + k % 16];
      const Complex b = z.as<Complex>()[row * 16 + (16 - k) % 16];
      const double angle = std::numbers::pi * static_cast<double>(k) / 16;
      // Exact on the axes, as the factors are.
      const Complex w{k == 8              ? -1.0F
                      : k == 0 || k == 16 ? 0.0F
                                          : static_cast<float>(-std::sin(angle)),
                      k == 8 ? 0.0F : static_cast<float>(-std::cos(angle))};
      const Complex e{a.re + b.re, a.im - b.im}, d{a.re - b.re, a.im + b.im};
      const Complex sum = e + d * (k == 8 ? Complex{-1.0F, -0.0F} : w);
      const Complex found = y.as<Complex>()[row * 17 + k];
      CHECK(found.re == Approx(sum.re * 0.5F).margin(1e-6));
      CHECK(found.im == Approx(sum.im * 0.5F).margin(1e-6));
    }
  }
}

/// `fft_multiply` has the bits of `fft` followed by `zip` on the same devices.
void check_product(const Shape& shape, const Shape& b_shape, std::optional<int> axis, std::uint64_t commands) {
  const std::string direction = GENERATE("forward", "inverse");
  const std::string operation = GENERATE("mul", "conjugate_mul");
  CAPTURE(direction, operation);
  Machine machine(soc_with("fft", with_options(8)));
  Tensors tensors(machine.platform->memory());
  Random random(3);
  const auto& x = tensors.make(tensor(DType::complex64, shape));
  const auto& b = tensors.make(tensor(DType::complex64, b_shape));
  const auto& out = tensors.make(tensor(DType::complex64, shape));
  const auto& transformed = tensors.make(tensor(DType::complex64, shape));
  const auto& expected = tensors.make(tensor(DType::complex64, shape));
  random.fill(x);
  random.fill(b);
  nlohmann::json attributes = {{"direction", direction}};
  if (axis) attributes["axis"] = *axis;
  const auto fft = kernel("fft", attributes);
  attributes["operation"] = operation;
  const auto product = kernel("fft_multiply", attributes);
  CHECK(product->attributes() == attributes);
  require_ok(machine.driver->supports(*product, types_of({x, b}), types_of({out})));
  machine.run(*product, {x, b}, {out});
  CHECK(machine.driver->counters().commands == commands);
  machine.run(*fft, {x}, {transformed});
  run_on_cpu(*kernel("zip", {{"operation", operation}}), {transformed, b}, {expected});
  CHECK(dense(out) == dense(expected));

  run_on_cpu(*product, {x, b}, {out});
  run_on_cpu(*fft, {x}, {transformed});
  run_on_cpu(*kernel("zip", {{"operation", operation}}), {transformed, b}, {expected});
  CHECK(dense(out) == dense(expected));
}

TEST_CASE("a transform with a product has the bits of both, one after the other") {
  SECTION("operands of the same shape") { check_product({3, 64}, {3, 64}, std::nullopt, 1); }
  SECTION("one spectrum for all") { check_product({3, 64}, {64}, std::nullopt, 1); }
  SECTION("several of them, again and again") { check_product({3, 2, 64}, {2, 64}, std::nullopt, 3); }
  SECTION("columns") { check_product({2, 16, 24}, {2, 16, 24}, 1, 2); }
  SECTION("columns with one matrix for all") { check_product({2, 16, 24}, {16, 24}, 1, 2); }
  SECTION("a factor for each column") { check_product({2, 16, 24}, {24}, 1, 2); }
}

TEST_CASE("why the FFT refuses these operations") {
  Machine plain(soc_with("fft", fft_config(6)));
  Machine full(soc_with("fft", with_options(6)));
  const auto rfft = kernel("rfft", nlohmann::json::object());
  const auto product = kernel("fft_multiply", {{"direction", "forward"}, {"operation", "mul"}});
  const auto columns = kernel("fft_multiply", {{"direction", "forward"}, {"operation", "mul"}, {"axis", 0}});
  const auto real = [](std::int64_t length) { return tensor(DType::float32, {length}); };
  const auto complex = [](Shape shape) { return tensor(DType::complex64, std::move(shape)); };
  const auto reason = [](const Machine& machine, const Kernel& kernel, const std::vector<TensorType>& inputs,
                         const TensorType& output) {
    return message_of(machine.driver->supports(kernel, inputs, {&output, 1}));
  };
  CHECK_THAT(reason(plain, *rfft, {real(32)}, complex({17})), Catch::Contains("fft_real_input=1"));
  CHECK_THAT(reason(plain, *product, {complex({16}), complex({16})}, complex({16})), Catch::Contains("fft_multiply=1"));
  for (const std::int64_t length : {1, 8, 33, 48, 256}) {
    CHECK_THAT(reason(full, *rfft, {real(length)}, complex({bins_of(length)})),
               Catch::Contains("a power of two of 16..128 real samples, not " + std::to_string(length)));
  }
  CHECK_THAT(reason(full, *columns, {complex({8, 3, 4}), complex({4})}, complex({8, 3, 4})),
             Catch::Contains("one number for each column"));
  CHECK_THAT(reason(full, *kernel("transpose", nlohmann::json::object()), {complex({8, 8})}, complex({8, 8})),
             Catch::Contains("fft, fft_multiply and rfft, not transpose"));
  // Wrong calls, of any device.
  CHECK_THAT(message_of(rfft->check(std::vector{real(32)}, std::vector{complex({16})})), Catch::Contains("[17]"));
  CHECK_THAT(message_of(rfft->check(std::vector{tensor(DType::float32, {})}, std::vector{complex({1})})),
             Catch::Contains("dimension"));
  CHECK_THAT(message_of(product->check(std::vector{complex({4, 8}), complex({4})}, std::vector{complex({4, 8})})),
             Catch::Contains("must be complex64[4, 8], not complex64[4]"));
  CHECK_THAT(message_of(make_kernel("fft_multiply", {{"direction", "forward"}, {"operation", "add"}})),
             Catch::Contains("conjugate_mul"));
}

/// On a CPU and on a machine with two engines: the same bits, in this many commands.
void check_int16(const nlohmann::json& attributes, const std::vector<Shape>& shapes, const Shape& result,
                 std::uint64_t commands) {
  Machine machine(soc_with("zip", zip_config(2, 2, 1)));
  Tensors tensors(machine.platform->memory());
  Random random(4);
  std::vector<TensorView> inputs;
  for (const Shape& shape : shapes) {
    inputs.push_back(tensors.make(tensor(DType::int16, shape)));
    random.fill(inputs.back());
  }
  const auto& out = tensors.make(tensor(DType::int16, result));
  const auto& expected = tensors.make(tensor(DType::int16, result));
  const auto zip = kernel("zip_int16", attributes);
  CHECK(zip->attributes() == attributes);
  require_ok(machine.driver->supports(*zip, types_of(inputs), types_of({out})));
  run_on_cpu(*zip, inputs, {expected});
  machine.run(*zip, inputs, {out});
  CHECK(dense(out) == dense(expected));
  CHECK(machine.driver->counters().commands == commands);
}

nlohmann::json int16(const std::string& operation, const std::string& numbers, int shift) {
  return {{"operation", operation}, {"numbers", numbers}, {"shift", shift}};
}

TEST_CASE("int16 on the accelerator has the bits of the CPU") {
  for (const char* operation : {"add", "sub", "mul", "div", "conjugate_mul"}) {
    check_int16(int16(operation, "complex", 15), {{333, 2}, {333, 2}}, {333, 2}, 1);
    check_int16(int16(operation, "complex", 3), {{9, 90, 2}, {90, 2}}, {9, 90, 2}, 2);
    check_int16(int16(operation, "complex", 0), {{40, 2}, {1, 2}}, {40, 2}, 1);
  }
  for (const char* operation : {"add", "sub", "mul", "div"}) {
    check_int16(int16(operation, "real", 7), {{1001}, {1001}}, {1001}, 2);
    check_int16(int16(operation, "real", 16), {{5, 8}, {8}}, {5, 8}, 1);
  }
  check_int16(int16("multiply_add", "complex", 14), {{70, 2}, {70, 2}, {70, 2}}, {70, 2}, 1);
  check_int16(int16("conjugate_multiply_add", "complex", 15), {{700, 2}, {700, 2}, {700, 2}}, {700, 2}, 2);
  check_int16(int16("multiply_add", "real", 3), {{72}, {72}, {72}}, {72}, 1);
  check_int16(int16("magnitude", "complex", 1), {{1003, 2}}, {1003}, 2);
  check_int16(int16("magnitude_squared", "complex", 16), {{1003, 2}}, {1003}, 2);
  auto scale = int16("scale", "complex", 12);
  scale["factor"] = {3000, -4000};
  check_int16(scale, {{99, 2}}, {99, 2}, 1);
  scale = int16("scale", "real", 12);
  scale["factor"] = {-4097, 0};
  check_int16(scale, {{99}}, {99}, 1);
}

TEST_CASE("int16 multiplies, shifts and saturates as written") {
  const auto platform = make_cpu_platform(1 << 20);
  Tensors tensors(platform->memory());
  const auto& a = tensors.make(tensor(DType::int16, {2, 2}));
  const auto& b = tensors.make(tensor(DType::int16, {1, 2}));
  const auto& out = tensors.make(tensor(DType::int16, {2, 2}));
  set_dense<std::int16_t>(a, {3, 4, -32768, -32768});
  set_dense<std::int16_t>(b, {3, -4});
  run_on_cpu(*kernel("zip_int16", int16("mul", "complex", 1)), {a, b}, {out});
  CHECK(dense_values<std::int16_t>(out) == std::vector<std::int16_t>{12, 0, -32768, 16384});
  run_on_cpu(*kernel("zip_int16", int16("add", "complex", 0)), {a, b}, {out});
  CHECK(dense_values<std::int16_t>(out) == std::vector<std::int16_t>{6, 0, -32765, -32768});
}

TEST_CASE("wrong calls of zip_int16 are named") {
  const auto check = [](const nlohmann::json& attributes, const std::vector<TensorType>& inputs, const Shape& output) {
    const TensorType result = tensor(DType::int16, output);
    return message_of(kernel("zip_int16", attributes)->check(inputs, {&result, 1}));
  };
  const auto type = [](Shape shape) { return tensor(DType::int16, std::move(shape)); };
  CHECK_THAT(check(int16("add", "complex", 0), {type({4, 3}), type({4, 3})}, {4, 3}),
             Catch::Contains("dimension of 2"));
  CHECK_THAT(check(int16("add", "real", 0), {type({1, 2, 3, 4}), type({4})}, {1, 2, 3, 4}), Catch::Contains("feature"));
  CHECK_THAT(check(int16("add", "real", 0), {type({4}), tensor(DType::int8, {4})}, {4}), Catch::Contains("int16"));
  CHECK_THAT(check(int16("magnitude_squared", "complex", 0), {type({4, 2})}, {4, 2}), Catch::Contains("int16[4]"));
  CHECK_THAT(check(int16("mul", "complex", 0), {type({4, 2}), type({2, 2})}, {4, 2}), Catch::Contains("int16[4, 2]"));
  CHECK_THAT(message_of(make_kernel("zip_int16", int16("magnitude_squared", "real", 0))), Catch::Contains("complex"));
  CHECK_THAT(message_of(make_kernel("zip_int16", int16("root", "complex", 0))), Catch::Contains("operation"));
  CHECK_THAT(message_of(make_kernel("zip_int16", int16("add", "complex", 32))), Catch::Contains("shift"));

  Machine floats(soc_with("zip", zip_config(2)));
  const std::vector<TensorType> two = {type({4}), type({4})};
  CHECK_THAT(message_of(floats.driver->supports(*kernel("zip_int16", int16("add", "real", 0)), two, {&two[0], 1})),
             Catch::Contains("this ZIP computes float32, not int16; build it with zip_number_format=1"));
}

}  // namespace
}  // namespace cosoc::test
