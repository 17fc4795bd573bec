#include "kernels/fft.hpp"

#include <algorithm>
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

nlohmann::json FFTKernel::attributes() const {
  nlohmann::json values = {{"direction", directions[inverse_ ? 1 : 0]}};
  if (axis_) values["axis"] = *axis_;
  return values;
}

FFTShape FFTKernel::shape(const TensorType& type) const {
  const std::size_t axis = axis_.value_or(type.shape.size() - 1);
  FFTShape shape;
  for (std::size_t i = 0; i < type.shape.size(); ++i) {
    (i < axis ? shape.matrices : i == axis ? shape.length : shape.columns) *= static_cast<std::size_t>(type.shape[i]);
  }
  return shape;
}

Status FFTKernel::check(std::span<const TensorType> inputs, std::span<const TensorType> outputs) const {
  TypeCheck check(name(), inputs, outputs);
  if (!check.counts(1, 1)) return check.status();
  check.dtype(inputs[0], DType::complex64);
  check.dtype(outputs[0], DType::complex64);
  const std::size_t rank = inputs[0].shape.size();
  check.require(rank > 0, "input 0 must have at least one dimension");
  check.require(
      axis_.value_or(0) < std::max<std::size_t>(rank, 1),
      "axis " + std::to_string(axis_.value_or(0)) + " of a tensor with " + std::to_string(rank) + " dimensions");
  check.shape(outputs[0], inputs[0].shape);
  if (!check.good()) return check.status();
  check.require(shape(inputs[0]).length > 0, "the dimension that is transformed must not be empty");
  return check.status();
}

Status FFTKernel::run(std::span<const TensorView> inputs, std::span<const TensorView> outputs) const {
  const FFTShape given = shape(*inputs[0].type);
  using fourier::Direction;
  const auto transform = fourier::transform_of(given.length, inverse_ ? Direction::inverse : Direction::forward);
  for (std::size_t matrix = 0; matrix < given.matrices; ++matrix) {
    const std::size_t first = matrix * given.length * given.columns;
    transform->execute(inputs[0].as<Complex>() + first, outputs[0].as<Complex>() + first, given.columns);
  }
  return {};
}

Work FFTKernel::work(std::span<const TensorType> inputs, std::span<const TensorType> outputs) const {
  const auto stages = static_cast<std::uint64_t>(std::bit_width(shape(inputs[0]).length - 1));
  // As radix 2 has them, the field's measure: a butterfly is 10 operations on two elements.
  return {5 * stages * static_cast<std::uint64_t>(inputs[0].elements()), inputs[0].bytes() + outputs[0].bytes()};
}

FFTOptions read_fft_options(AttributeReader& reader) {
  constexpr std::int64_t most_dimensions = 16;
  FFTOptions options;
  options.inverse = reader.choice("direction", directions) == 1;
  if (reader.has("axis")) options.axis = static_cast<std::size_t>(reader.integer("axis", 0, most_dimensions - 1));
  return options;
}

KernelResult make_fft(const nlohmann::json& attributes) {
  AttributeReader reader("fft", attributes);
  const FFTOptions options = read_fft_options(reader);
  if (auto status = reader.finish(); !status) return tl::unexpected(status.error());
  return std::make_shared<const FFTKernel>(options.inverse, options.axis);
}

}  // namespace cosoc
