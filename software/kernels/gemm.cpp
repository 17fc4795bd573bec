/// Matrix product of float32 or complex64, in tiles of four rows and one vector of columns.
///
/// Every sum starts at 0 and takes its terms in the order of the inner dimension; no operation crosses lanes, and none
/// is fused (-ffp-contract=off), so every instruction set gives the same bits.
#include <algorithm>
#include <nlohmann/json.hpp>

#include "kernels/arithmetic.hpp"
#include "kernels/attributes.hpp"
#include "kernels/check.hpp"
#include "kernels/fourier/passes.hpp"
#include "kernels/operations.hpp"

namespace cosoc {
namespace {

constexpr int width = 8;
constexpr std::size_t tile_rows = 4;
/// Of the packed columns, a complex number counting as two: the real parts of eight, then their imaginary parts.
constexpr std::size_t panel_floats = std::size_t{2} * width;

using Floats [[gnu::vector_size(4 * width)]] = float;
using Stored [[gnu::vector_size(4 * width), gnu::aligned(4), gnu::may_alias]] = float;

/// Real and imaginary parts; of real numbers eight and eight more.
struct Block {
  Floats re;
  Floats im;
};

/// Row-major matrices: `a` (rows, depth), `b` (depth, columns), `out` (rows, columns).
struct Product {
  const float* a = nullptr;
  const float* b = nullptr;
  float* out = nullptr;
  std::size_t rows = 0;
  std::size_t depth = 0;
  std::size_t columns = 0;
};

/// Packs up to `panel_floats` floats of each row of `b`, with zeros behind.
template <bool complex>
void pack(const Product& product, std::size_t first, std::size_t count, float* panel) {
  const std::size_t pitch = product.columns * (complex ? 2 : 1);
  std::fill(panel, panel + product.depth * panel_floats, 0.0F);
  for (std::size_t k = 0; k < product.depth; ++k, panel += panel_floats) {
    const float* row = product.b + k * pitch + first;
    for (std::size_t i = 0; i < count; ++i) panel[complex ? i / 2 + i % 2 * width : i] = row[i];
  }
}

template <bool complex, std::size_t rows>
[[gnu::always_inline]] inline void multiply_tile(const Product& product, const float* a, const float* panel,
                                                 float (*sums)[panel_floats]) {
  constexpr std::size_t parts = complex ? 2 : 1;
  const std::size_t pitch = product.depth * parts;
  Block tile[rows] = {};
  for (std::size_t k = 0; k < product.depth; ++k, panel += panel_floats) {
    const Floats re = *reinterpret_cast<const Stored*>(panel);
    const Floats im = *reinterpret_cast<const Stored*>(panel + width);
#pragma GCC unroll 4
    for (std::size_t row = 0; row < rows; ++row) {
      const float* x = a + row * pitch + k * parts;
      if constexpr (complex) {
        tile[row].re += x[0] * re - x[1] * im;
        tile[row].im += x[0] * im + x[1] * re;
      } else {
        tile[row].re += x[0] * re;
        tile[row].im += x[0] * im;
      }
    }
  }
  for (std::size_t row = 0; row < rows; ++row) {
    *reinterpret_cast<Stored*>(sums[row]) = tile[row].re;
    *reinterpret_cast<Stored*>(sums[row] + width) = tile[row].im;
  }
}

template <bool complex>
[[gnu::always_inline]] inline void multiply(const Product& product) {
  constexpr std::size_t parts = complex ? 2 : 1;
  const std::size_t columns = product.columns * parts;
  std::vector<float> panel(product.depth * panel_floats);
  float sums[tile_rows][panel_floats];
  for (std::size_t first = 0; first < columns; first += panel_floats) {
    const std::size_t count = std::min(panel_floats, columns - first);
    pack<complex>(product, first, count, panel.data());
    for (std::size_t row = 0; row < product.rows;) {
      const float* a = product.a + row * product.depth * parts;
      const bool whole = row + tile_rows <= product.rows;
      whole ? multiply_tile<complex, tile_rows>(product, a, panel.data(), sums)
            : multiply_tile<complex, 1>(product, a, panel.data(), sums);
      for (std::size_t r = 0; r < (whole ? tile_rows : 1); ++r, ++row) {
        float* out = product.out + row * columns + first;
        for (std::size_t i = 0; i < count; ++i) {
          out[i] = canonical(sums[r][complex ? i / 2 + i % 2 * width : i]);
        }
      }
    }
  }
}

[[gnu::always_inline]] inline void any(bool complex, const Product& product) {
  complex ? multiply<true>(product) : multiply<false>(product);
}

void execute_baseline(bool complex, const Product& product) { any(complex, product); }

#ifdef __x86_64__
[[gnu::target("avx2")]] void execute_avx2(bool complex, const Product& product) { any(complex, product); }

void execute(bool complex, const Product& product) {
  const bool avx2 = fourier::best_instruction_set() == fourier::InstructionSet::avx2;
  avx2 ? execute_avx2(complex, product) : execute_baseline(complex, product);
}
#else
void execute(bool complex, const Product& product) { execute_baseline(complex, product); }
#endif

class GEMM final : public Kernel {
 public:
  std::string_view name() const override { return "gemm"; }
  nlohmann::json attributes() const override { return nlohmann::json::object(); }

  Status check(std::span<const TensorType> inputs, std::span<const TensorType> outputs) const override {
    TypeCheck check(name(), inputs, outputs);
    if (!check.counts(2, 1)) return check.status();
    const DType dtype = inputs[0].dtype == DType::complex64 ? DType::complex64 : DType::float32;
    for (const TensorType* type : {&inputs[0], &inputs[1], &outputs[0]}) check.dtype(*type, dtype);
    check.rank(inputs[0], {2});
    check.rank(inputs[1], {2});
    if (!check.good()) return check.status();
    check.shape(inputs[1], {inputs[0].shape[1], inputs[1].shape[1]});
    check.shape(outputs[0], {inputs[0].shape[0], inputs[1].shape[1]});
    return check.status();
  }

  Status run(std::span<const TensorView> inputs, std::span<const TensorView> outputs) const override {
    const TensorType& a = *inputs[0].type;
    execute(a.dtype == DType::complex64, {.a = inputs[0].as<float>(),
                                          .b = inputs[1].as<float>(),
                                          .out = outputs[0].as<float>(),
                                          .rows = static_cast<std::size_t>(a.shape[0]),
                                          .depth = static_cast<std::size_t>(a.shape[1]),
                                          .columns = static_cast<std::size_t>(inputs[1].type->shape[1])});
    return {};
  }

  Work work(std::span<const TensorType> inputs, std::span<const TensorType> outputs) const override {
    const auto products = static_cast<std::uint64_t>(inputs[0].elements() * outputs[0].shape[1]);
    // A complex product and its addition are 8 operations. One operation of two lanes per cycle.
    return {.operations = products * (inputs[0].dtype == DType::complex64 ? 8 : 2),
            .bytes = inputs[0].bytes() + inputs[1].bytes() + outputs[0].bytes(),
            .operations_per_cycle = 2.0};
  }
};

}  // namespace

KernelResult make_gemm(const nlohmann::json& attributes) {
  if (auto status = AttributeReader("gemm", attributes).finish(); !status) return tl::unexpected(status.error());
  return std::make_shared<const GEMM>();
}

}  // namespace cosoc
