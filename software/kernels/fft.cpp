#include "kernels/fft.hpp"

#include <array>
#include <bit>

#include "kernels/attributes.hpp"
#include "kernels/check.hpp"
#include "kernels/fourier/transform.hpp"
#include "kernels/operations.hpp"

namespace cosoc {
namespace {

constexpr std::array<std::string_view, 2> directions = {"forward", "inverse"};

}  // namespace

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
