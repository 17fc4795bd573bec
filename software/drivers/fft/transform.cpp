#include "drivers/fft/transform.hpp"

#include <array>
#include <bit>

#include "drivers/fft/block.hpp"
#include "kernels/fourier/real.hpp"

namespace cosoc::fft {
namespace {

/// IEEE single operations, each rounded to nearest even. A NaN stays one through all later operations, so that results
/// are made canonical once.
struct FloatArithmetic {
  using Number = Complex;
  using Factor = Complex;

  static Complex load(Complex x) { return x; }
  static Complex store(Complex x, std::uint32_t shift) {
    const float scale = 1.0F / static_cast<float>(1U << shift);
    return canonical(Complex{x.re * scale, x.im * scale});
  }
  static Complex add(Complex a, Complex b) { return a + b; }
  static Complex subtract(Complex a, Complex b) { return a - b; }
  static Complex subtract_turned(Complex a, Complex b) { return {a.im - b.im, b.re - a.re}; }
  static Complex multiply(Complex x, Complex w) { return x * w; }
  static Complex factor(double re, double im) { return {static_cast<float>(re), static_cast<float>(im)}; }
};

Complex swapped(Complex a) { return {a.im, a.re}; }

/// Radix 2^2, decimation in frequency.
template <class Arithmetic>
class RadixTransform final : public Transform {
 public:
  using Number = typename Arithmetic::Number;

  RadixTransform(const Arithmetic& arithmetic, std::size_t length, std::uint32_t interleave_log2)
      : arithmetic_(arithmetic), parity_(interleave_log2 % 2) {
    for (std::size_t k = 0; k < length; ++k) {
      const fourier::Root w = fourier::root(k, length);
      factors_.push_back(Arithmetic::factor(w.re, w.im));
    }
  }

  void run(std::span<Complex> values, bool inverse, bool scaled) const override {
    std::vector<Number> numbers;
    for (const Complex value : values) numbers.push_back(arithmetic_.load(inverse ? swapped(value) : value));
    for (std::size_t half = numbers.size() / 2; half > 0; half /= 2) {
      const bool odd = (static_cast<std::uint32_t>(std::countr_zero(half)) + parity_) % 2 != 0;
      butterflies(numbers, half, odd);
      if (!odd) rotate(numbers, half);
    }
    // The stages leave result k at the position with its bits reversed.
    const auto shift = scaled ? static_cast<std::uint32_t>(std::countr_zero(values.size())) : 0U;
    std::size_t reversed = 0;
    for (Complex& value : values) {
      const Complex result = arithmetic_.store(numbers[reversed], shift);
      value = inverse ? swapped(result) : result;
      std::size_t bit = values.size() / 2;
      while (bit > 0 && (reversed & bit) != 0) {
        reversed ^= bit;
        bit /= 2;
      }
      reversed |= bit;
    }
  }

 private:
  void butterflies(std::span<Number> numbers, std::size_t half, bool odd) const {
    for (std::size_t first = 0; first < numbers.size(); first += 2 * half) {
      for (std::size_t k = 0; k < half; ++k) {
        const Number u = numbers[first + k];
        const Number v = numbers[first + k + half];
        const bool turned = odd && half > 1 && k >= half / 2;
        numbers[first + k] = arithmetic_.add(u, v);
        numbers[first + k + half] = turned ? arithmetic_.subtract_turned(u, v) : arithmetic_.subtract(u, v);
      }
    }
  }

  void rotate(std::span<Number> numbers, std::size_t half) const {
    constexpr std::array<std::size_t, 4> powers = {0, 2, 1,
                                                   3};  // of exp(-2 pi i k / 4 half) in the quarters of a group
    for (std::size_t first = half; first < numbers.size(); first += half) {
      const std::size_t quarter = first / half % 4;
      // The first stage has no groups of four: its powers of exp(-2 pi i k / 2 half) are those of the second quarter.
      const std::size_t step = 4 * half <= numbers.size() ? powers[quarter] * (numbers.size() / (4 * half)) : 1;
      if (quarter == 0) continue;
      for (std::size_t k = 1; k < half; ++k) {
        numbers[first + k] = arithmetic_.multiply(numbers[first + k], factors_[k * step]);
      }
    }
  }

  Arithmetic arithmetic_;
  std::uint32_t parity_;
  std::vector<typename Arithmetic::Factor> factors_;  // exp(-2 pi i k / length)
};

}  // namespace

std::unique_ptr<Transform> make_transform(const Config& config, std::size_t length, std::uint32_t interleave_log2) {
  if (config.number_format == static_cast<std::uint32_t>(NumberFormat::float32)) {
    return std::make_unique<RadixTransform<FloatArithmetic>>(FloatArithmetic{}, length, interleave_log2);
  }
  const BlockArithmetic arithmetic(config.mantissa_bits);
  return std::make_unique<RadixTransform<BlockArithmetic>>(arithmetic, length, interleave_log2);
}

}  // namespace cosoc::fft
