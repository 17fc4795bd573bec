#include "kernels/fir.hpp"

#include <algorithm>

#include "kernels/attributes.hpp"
#include "kernels/check.hpp"
#include "kernels/operations.hpp"

namespace cosoc {
namespace {

constexpr std::int64_t max_decimation = 65535;

}  // namespace

void fir_frame(std::span<const Complex> in, std::span<const Complex> taps, std::size_t delay, std::size_t decimation,
               bool accumulate, Complex* out) {
  for (std::size_t n = 0; n < in.size(); n += decimation, ++out) {
    Complex sum = accumulate ? *out : Complex{-0.0F, -0.0F};
    const std::size_t terms = n < delay ? 0 : std::min(taps.size(), n - delay + 1);
    for (std::size_t k = 0; k < terms; ++k) sum = sum + in[n - delay - k] * taps[k];
    *out = canonical(sum);
  }
}

nlohmann::json FIRKernel::attributes() const { return {{"decimation", decimation_}}; }

Status FIRKernel::check(std::span<const TensorType> inputs, std::span<const TensorType> outputs) const {
  TypeCheck check(name(), inputs, outputs);
  if (!check.counts(2, 1)) return check.status();
  check.dtype(inputs[0], DType::complex64);
  check.dtype(inputs[1], DType::complex64);
  check.dtype(outputs[0], DType::complex64);
  check.rank(inputs[1], {1});
  check.require(!inputs[0].shape.empty(), "input 0 must have at least one dimension");
  if (!check.good()) return check.status();
  std::vector<std::int64_t> expected = inputs[0].shape;
  expected.back() = (expected.back() + decimation_ - 1) / decimation_;
  check.shape(outputs[0], expected);
  return check.status();
}

Status FIRKernel::run(std::span<const TensorView> inputs, std::span<const TensorView> outputs) const {
  const auto length = static_cast<std::size_t>(inputs[0].type->shape.back());
  const auto results = static_cast<std::size_t>(outputs[0].type->shape.back());
  const auto frames = static_cast<std::size_t>(inputs[0].type->elements()) / length;
  const std::span<const Complex> taps(inputs[1].as<Complex>(), static_cast<std::size_t>(inputs[1].type->elements()));
  for (std::size_t frame = 0; frame < frames; ++frame) {
    fir_frame({inputs[0].as<Complex>() + frame * length, length}, taps, 0, static_cast<std::size_t>(decimation_), false,
              outputs[0].as<Complex>() + frame * results);
  }
  return {};
}

Work FIRKernel::work(std::span<const TensorType> inputs, std::span<const TensorType> outputs) const {
  // A complex product and its addition are 8 operations.
  const auto terms = static_cast<std::uint64_t>(outputs[0].elements() * inputs[1].elements());
  return {8 * terms, inputs[0].bytes() + inputs[1].bytes() + outputs[0].bytes()};
}

KernelResult make_fir(const nlohmann::json& attributes) {
  AttributeReader reader("fir", attributes);
  const std::int64_t decimation = reader.integer("decimation", 1, max_decimation);
  if (auto status = reader.finish(); !status) return tl::unexpected(status.error());
  return std::make_shared<const FIRKernel>(decimation);
}

}  // namespace cosoc
