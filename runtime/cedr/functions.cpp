#include "cedr/functions.hpp"

#include <algorithm>
#include <limits>
#include <vector>

#include "kernels/fourier/transform.hpp"

namespace cosoc::cedr {
namespace {

/// The lowest 16 bits.
std::int16_t wrapped(std::int64_t value) { return static_cast<std::int16_t>(static_cast<std::uint64_t>(value)); }

std::int16_t saturated(std::int64_t value) {
  return static_cast<std::int16_t>(std::clamp<std::int64_t>(value, INT16_MIN, INT16_MAX));
}

/// Cut off towards 0; NaN is 0.
std::int16_t saturated(float value) {
  if (std::isnan(value)) return 0;
  return static_cast<std::int16_t>(std::clamp(value, float{INT16_MIN}, float{INT16_MAX}));
}

/// In a type that holds every sum of two products.
struct Wide {
  std::int64_t re;
  std::int64_t im;
};

Wide product(ComplexInt a, ComplexInt b) {
  const Wide x{a.re, a.im};
  const Wide y{b.re, b.im};
  return {x.re * y.re - x.im * y.im, x.re * y.im + x.im * y.re};
}

Wide quotient(ComplexInt a, ComplexInt b) {
  const std::int64_t norm = std::int64_t{b.re} * b.re + std::int64_t{b.im} * b.im;
  if (norm == 0) return {0, 0};
  const std::int64_t re = std::int64_t{a.re} * b.re + std::int64_t{a.im} * b.im;
  const std::int64_t im = std::int64_t{a.im} * b.re - std::int64_t{a.re} * b.im;
  return {re / norm, im / norm};
}

Wide combine(zip_op_t operation, ComplexInt a, ComplexInt b) {
  switch (operation) {
    case ZIP_ADD:
      return {a.re + b.re, a.im + b.im};
    case ZIP_SUB:
      return {a.re - b.re, a.im - b.im};
    case ZIP_DIV:
      return quotient(a, b);
    case ZIP_MULT:
    case ZIP_CMP_MULT:
      break;
  }
  return product(a, b);
}

/// The number of the nearest of -3, -1, 1 and 3 tenths' square root; the lower one of two.
std::int32_t level(float value) {
  // Halfway between 0.316228 and 0.948683.
  constexpr double limit = 0.6324555;
  return static_cast<std::int32_t>(value > -limit) + static_cast<std::int32_t>(value > 0.0F) +
         static_cast<std::int32_t>(value > limit);
}

}  // namespace

void zip_int(zip_op_t operation, const ComplexInt* a, const ComplexInt* b, ComplexInt* out, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) {
    const Wide value = combine(operation, a[i], b[i]);
    out[i] = {.im = wrapped(value.im), .re = wrapped(value.re)};
  }
}

void fft_int(bool inverse, const ComplexInt* in, ComplexInt* out, std::size_t count) {
  std::vector<Complex> values(count);
  for (std::size_t i = 0; i < count; ++i) values[i] = {static_cast<float>(in[i].re), static_cast<float>(in[i].im)};
  using fourier::Direction;
  const auto transform = fourier::transform_of(count, inverse ? Direction::inverse : Direction::forward);
  transform->execute(values.data(), values.data());
  for (std::size_t i = 0; i < count; ++i) out[i] = {.im = saturated(values[i].im), .re = saturated(values[i].re)};
}

void gemm_int(const ComplexInt* a, const ComplexInt* b, ComplexInt* out, std::size_t rows, std::size_t depth,
              std::size_t columns) {
  std::vector<Wide> sums(columns);
  for (std::size_t row = 0; row < rows; ++row) {
    std::ranges::fill(sums, Wide{0, 0});
    for (std::size_t k = 0; k < depth; ++k) {
      for (std::size_t column = 0; column < columns; ++column) {
        const Wide term = product(a[row * depth + k], b[k * columns + column]);
        sums[column].re += term.re;
        sums[column].im += term.im;
      }
    }
    for (std::size_t column = 0; column < columns; ++column) {
      out[row * columns + column] = {.im = saturated(sums[column].im), .re = saturated(sums[column].re)};
    }
  }
}

void transpose_int(bool conjugate, const ComplexInt* in, ComplexInt* out, std::size_t rows, std::size_t columns) {
  for (std::size_t row = 0; row < rows; ++row) {
    for (std::size_t column = 0; column < columns; ++column) {
      const ComplexInt x = in[row * columns + column];
      const std::int64_t im = x.im;
      out[column * rows + row] = {.im = saturated(conjugate ? -im : im), .re = x.re};
    }
  }
}

void conjugate_transpose(const Complex* in, Complex* out, std::size_t rows, std::size_t columns) {
  for (std::size_t row = 0; row < rows; ++row) {
    for (std::size_t column = 0; column < columns; ++column) {
      const Complex x = in[row * columns + column];
      out[column * rows + row] = {x.re, -x.im};
    }
  }
}

void bpsk(const Complex* in, float* out, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) out[i] = in[i].re > 0.0F ? 1.0F : -1.0F;
}

void qam16(const Complex* in, std::int32_t* out, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) out[i] = 4 * level(in[i].re) + level(in[i].im);
}

void conv_2d(const std::int16_t* in, std::size_t height, std::size_t width, std::span<const float> mask,
             std::size_t mask_size, std::int16_t* out) {
  const std::size_t half = mask_size / 2;
  for (std::size_t row = 0; row < height; ++row) {
    for (std::size_t column = 0; column < width; ++column) {
      float sum = 0;
      // Taps from `first` up to `last` lie inside the image.
      const std::size_t first_k = half > row ? half - row : 0;
      const std::size_t last_k = std::min(mask_size, height + half - row);
      const std::size_t first_l = half > column ? half - column : 0;
      const std::size_t last_l = std::min(mask_size, width + half - column);
      for (std::size_t k = first_k; k < last_k; ++k) {
        const std::int16_t* line = in + (row + k - half) * width;
        for (std::size_t l = first_l; l < last_l; ++l) {
          sum += static_cast<float>(line[column + l - half]) * mask[mask_size * k + l];
        }
      }
      out[row * width + column] = saturated(sum);
    }
  }
}

void conv_1d(std::span<const float> in, std::span<const float> mask, float* out) {
  const std::size_t half = mask.size() / 2;
  for (std::size_t i = 0; i < in.size(); ++i) {
    const std::size_t first = half > i ? half - i : 0;
    const std::size_t last = std::min(mask.size(), in.size() + half - i);
    float sum = out[i];
    for (std::size_t j = first; j < last; ++j) sum += in[i + j - half] * mask[j];
    out[i] = sum;
  }
}

}  // namespace cosoc::cedr
