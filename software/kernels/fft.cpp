#include "kernels/fft.hpp"

#include <array>
#include <bit>
#include <cmath>
#include <numbers>

#include "kernels/attributes.hpp"
#include "kernels/check.hpp"
#include "kernels/fourier/transform.hpp"
#include "kernels/operations.hpp"

namespace cosoc {
namespace {

constexpr std::array<std::string_view, 2> directions = {"forward", "inverse"};

Complex swapped(Complex a) { return {a.im, a.re}; }

}  // namespace

FFTPlan::FFTPlan(std::size_t length) : length_(length), roots_(length), values_(length) {
  // From the first octant, so that symmetric roots are equal and those on the axes are exact.
  for (std::size_t k = 0; k < length; ++k) {
    const std::size_t octant = 8 * k / length;
    const std::size_t rest = (8 * k - octant * length) / 8;
    const std::size_t steps = octant % 2 == 0 ? rest : length / 8 - rest;
    const double angle = 2.0 * std::numbers::pi * static_cast<double>(steps) / static_cast<double>(length);
    double cosine = octant % 4 == 0 || octant % 4 == 3 ? std::cos(angle) : std::sin(angle);
    double sine = octant % 4 == 0 || octant % 4 == 3 ? std::sin(angle) : std::cos(angle);
    if (octant % 4 >= 2) cosine = -cosine;
    if (octant >= 4) {
      cosine = -cosine;
      sine = -sine;
    }
    roots_[k] = {static_cast<float>(cosine + 0.0), static_cast<float>(0.0 - sine)};
  }
}

void FFTPlan::transform(const Complex* in, Complex* out, bool inverse) {
  for (std::size_t i = 0; i < length_; ++i) values_[i] = inverse ? swapped(in[i]) : in[i];

  for (std::size_t half = length_ / 2; half > 0; half /= 2) {
    const bool odd = std::countr_zero(half) % 2 != 0;
    butterflies(half, odd);
    if (!odd) rotate(half);
  }

  // The stages leave element i at the position with its bits reversed.
  const float scale = 1.0F / static_cast<float>(length_);
  std::size_t reversed = 0;
  for (std::size_t i = 0; i < length_; ++i) {
    const Complex value = values_[reversed];
    out[i] = canonical(inverse ? Complex{value.im * scale, value.re * scale} : value);
    std::size_t bit = length_ / 2;
    while (bit > 0 && (reversed & bit) != 0) {
      reversed ^= bit;
      bit /= 2;
    }
    reversed |= bit;
  }
}

void FFTPlan::butterflies(std::size_t half, bool odd) {
  for (std::size_t first = 0; first < length_; first += 2 * half) {
    for (std::size_t k = 0; k < half; ++k) {
      const Complex u = values_[first + k];
      const Complex v = values_[first + k + half];
      values_[first + k] = u + v;
      const bool turned = odd && 2 * k >= half;  // by -i
      values_[first + k + half] = turned ? Complex{u.im - v.im, v.re - u.re} : u - v;
    }
  }
}

void FFTPlan::rotate(std::size_t half) {
  constexpr std::array<std::size_t, 4> powers = {0, 2, 1, 3};  // of exp(-2 pi i k / 4 half) in the quarters of a group
  for (std::size_t first = half; first < length_; first += half) {
    const std::size_t quarter = first / half % 4;
    // The first stage has no groups of four: its powers of exp(-2 pi i k / 2 half) are those of the second quarter.
    const std::size_t step = 4 * half <= length_ ? powers[quarter] * (length_ / (4 * half)) : 1;
    if (quarter == 0) continue;
    for (std::size_t k = 1; k < half; ++k) values_[first + k] = values_[first + k] * roots_[k * step];
  }
}

nlohmann::json FFTKernel::attributes() const { return {{"direction", directions[inverse_ ? 1 : 0]}}; }

Status FFTKernel::check(std::span<const TensorType> inputs, std::span<const TensorType> outputs) const {
  TypeCheck check(name(), inputs, outputs);
  if (!check.counts(1, 1)) return check.status();
  check.dtype(inputs[0], DType::complex64);
  check.dtype(outputs[0], DType::complex64);
  check.require(!inputs[0].shape.empty(), "input 0 must have at least one dimension");
  check.shape(outputs[0], inputs[0].shape);
  if (!check.good()) return check.status();
  check.require(inputs[0].shape.back() > 0, "the last dimension must not be empty");
  return check.status();
}

Status FFTKernel::run(std::span<const TensorView> inputs, std::span<const TensorView> outputs) const {
  const auto length = static_cast<std::size_t>(inputs[0].type->shape.back());
  const auto count = static_cast<std::size_t>(inputs[0].type->elements());
  using fourier::Direction;
  const auto transform = fourier::transform_of(length, inverse_ ? Direction::inverse : Direction::forward);
  for (std::size_t first = 0; first < count; first += length) {
    transform->execute(inputs[0].as<Complex>() + first, outputs[0].as<Complex>() + first);
  }
  return {};
}

Work FFTKernel::work(std::span<const TensorType> inputs, std::span<const TensorType> outputs) const {
  const auto length = static_cast<std::uint64_t>(inputs[0].shape.back());
  const auto stages = static_cast<std::uint64_t>(std::bit_width(length - 1));
  // As radix 2 has them, the field's measure: a butterfly is 10 operations on two elements.
  return {5 * stages * static_cast<std::uint64_t>(inputs[0].elements()), inputs[0].bytes() + outputs[0].bytes()};
}

KernelResult make_fft(const nlohmann::json& attributes) {
  AttributeReader reader("fft", attributes);
  const bool inverse = reader.choice("direction", directions) == 1;
  if (auto status = reader.finish(); !status) return tl::unexpected(status.error());
  return std::make_shared<const FFTKernel>(inverse);
}

}  // namespace cosoc
