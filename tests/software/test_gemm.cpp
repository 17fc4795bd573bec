/// The matrix product against its definition, element by element.
#include "kernels/arithmetic.hpp"
#include "software/support.hpp"

namespace cosoc::test {
namespace {

struct Sizes {
  std::int64_t rows;
  std::int64_t depth;
  std::int64_t columns;
};

bool same(float a, float b) { return std::bit_cast<std::uint32_t>(a) == std::bit_cast<std::uint32_t>(b); }

/// Each operation rounded to float32, terms in order.
template <class T>
T expected(const TensorView& a, const TensorView& b, const Sizes& sizes, std::int64_t row, std::int64_t column) {
  T sum{};
  for (std::int64_t k = 0; k < sizes.depth; ++k) {
    sum = sum + a.as<T>()[row * sizes.depth + k] * b.as<T>()[k * sizes.columns + column];
  }
  return canonical(sum);
}

TEST_CASE("gemm equals its definition, bit for bit") {
  const auto sizes = GENERATE(Sizes{1, 1, 1}, Sizes{4, 64, 4}, Sizes{7, 3, 17}, Sizes{5, 9, 8}, Sizes{12, 30, 33});
  const DType dtype = GENERATE(DType::float32, DType::complex64);
  std::unique_ptr<WallClockPlatform> platform = make_cpu_platform(1 << 20);
  Tensors tensors(platform->memory());
  Random random(5);
  const TensorView a = tensors.make(tensor(dtype, {sizes.rows, sizes.depth}));
  const TensorView b = tensors.make(tensor(dtype, {sizes.depth, sizes.columns}));
  const TensorView out = tensors.make(tensor(dtype, {sizes.rows, sizes.columns}));
  random.fill(a);
  random.fill(b);
  b.as<float>()[0] = std::numeric_limits<float>::infinity();
  const auto kernel = value_of(make_kernel("gemm", nlohmann::json::object()));
  require_ok(kernel->check(std::vector{*a.type, *b.type}, std::vector{*out.type}));
  require_ok(kernel->run(std::vector{a, b}, std::vector{out}));
  for (std::int64_t row = 0; row < sizes.rows; ++row) {
    for (std::int64_t column = 0; column < sizes.columns; ++column) {
      INFO("row " << row << ", column " << column);
      const std::int64_t place = row * sizes.columns + column;
      if (dtype == DType::float32) {
        REQUIRE(same(out.as<float>()[place], expected<float>(a, b, sizes, row, column)));
      } else {
        const Complex wanted = expected<Complex>(a, b, sizes, row, column);
        REQUIRE(same(out.as<Complex>()[place].re, wanted.re));
        REQUIRE(same(out.as<Complex>()[place].im, wanted.im));
      }
    }
  }
}

TEST_CASE("gemm refuses shapes and types that do not fit") {
  const auto kernel = value_of(make_kernel("gemm", nlohmann::json::object()));
  const auto a = tensor(DType::float32, {2, 3});
  const auto b = tensor(DType::float32, {4, 5});
  const auto out = tensor(DType::float32, {2, 5});
  CHECK(message_of(kernel->check(std::vector{a, b}, std::vector{out})).find("input 1") != std::string::npos);
  const auto complex = tensor(DType::complex64, {3, 5});
  CHECK(message_of(kernel->check(std::vector{a, complex}, std::vector{out})).find("float32") != std::string::npos);
  CHECK(message_of(make_kernel("gemm", {{"alpha", 2}})).find("alpha") != std::string::npos);
}

}  // namespace
}  // namespace cosoc::test
