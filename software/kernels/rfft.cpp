#include "kernels/rfft.hpp"

#include <algorithm>
#include <bit>
#include <vector>

#include "kernels/attributes.hpp"
#include "kernels/check.hpp"
#include "kernels/fourier/real.hpp"
#include "kernels/fourier/transform.hpp"
#include "kernels/operations.hpp"

namespace cosoc {
namespace {

using fourier::Direction;

/// Signals of odd length as complex numbers, of which the first half of the bins is kept.
void run_odd(const float* signals, Complex* bins, std::size_t length, std::size_t count) {
  const auto transform = fourier::transform_of(length, Direction::forward);
  std::vector<Complex> values(length);
  for (std::size_t i = 0; i < count; ++i, signals += length, bins += length / 2 + 1) {
    std::transform(signals, signals + length, values.begin(), [](float x) { return Complex{x, 0.0F}; });
    transform->execute(values.data(), values.data());
    std::copy_n(values.begin(), length / 2 + 1, bins);
  }
}

void run_even(const Complex* signals, Complex* bins, std::size_t half, std::size_t count) {
  const auto transform = fourier::transform_of(half, Direction::forward);
  const auto split = fourier::real_split_of(half);
  std::vector<Complex> values(half);
  for (std::size_t i = 0; i < count; ++i, signals += half, bins += half + 1) {
    transform->execute(signals, values.data());
    split->execute(values, bins);
  }
}

}  // namespace

nlohmann::json RFFTKernel::attributes() const { return nlohmann::json::object(); }

Status RFFTKernel::check(std::span<const TensorType> inputs, std::span<const TensorType> outputs) const {
  TypeCheck check(name(), inputs, outputs);
  if (!check.counts(1, 1)) return check.status();
  check.dtype(inputs[0], DType::float32);
  check.dtype(outputs[0], DType::complex64);
  check.require(!inputs[0].shape.empty(), "input 0 must have at least one dimension");
  if (!check.good()) return check.status();
  std::vector<std::int64_t> bins = inputs[0].shape;
  bins.back() = bins.back() / 2 + 1;
  check.shape(outputs[0], bins);
  return check.status();
}

Status RFFTKernel::run(std::span<const TensorView> inputs, std::span<const TensorView> outputs) const {
  const auto length = static_cast<std::size_t>(inputs[0].type->shape.back());
  const std::size_t count = static_cast<std::size_t>(inputs[0].type->elements()) / length;
  if (length % 2 == 0) {
    run_even(inputs[0].as<Complex>(), outputs[0].as<Complex>(), length / 2, count);
  } else {
    run_odd(inputs[0].as<float>(), outputs[0].as<Complex>(), length, count);
  }
  return {};
}

Work RFFTKernel::work(std::span<const TensorType> inputs, std::span<const TensorType> outputs) const {
  const auto elements = static_cast<std::uint64_t>(inputs[0].elements());
  const auto stages =
      static_cast<std::uint64_t>(std::bit_width(static_cast<std::uint64_t>(inputs[0].shape.back()) - 1));
  // Half of what a complex transform takes, and the split.
  return {elements * (5 * stages + 16) / 2, inputs[0].bytes() + outputs[0].bytes()};
}

KernelResult make_rfft(const nlohmann::json& attributes) {
  AttributeReader reader("rfft", attributes);
  if (auto status = reader.finish(); !status) return tl::unexpected(status.error());
  return std::make_shared<const RFFTKernel>();
}

}  // namespace cosoc
