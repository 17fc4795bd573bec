#include "kernels/tensor.hpp"

#include <algorithm>
#include <cstring>
#include <limits>

namespace cosoc {
namespace {

constexpr std::size_t size_max = std::numeric_limits<std::size_t>::max();

std::size_t saturating_product(std::size_t a, std::size_t b) {
  std::size_t product = 0;
  return __builtin_mul_overflow(a, b, &product) ? size_max : product;
}

}  // namespace

std::string_view name_of(DType dtype) {
  switch (dtype) {
    case DType::float32:
      return "float32";
    case DType::int8:
      return "int8";
    case DType::int16:
      return "int16";
    case DType::int32:
      return "int32";
    case DType::complex64:
      return "complex64";
    case DType::int64:
      return "int64";
    case DType::boolean:
      return "bool";
  }
  return "unknown";
}

Result<DType> dtype_of(std::string_view name) {
  std::string known;
  for (const DType dtype :
       {DType::float32, DType::int8, DType::int16, DType::int32, DType::complex64, DType::int64, DType::boolean}) {
    if (name == name_of(dtype)) return dtype;
    known += (known.empty() ? "" : ", ") + std::string(name_of(dtype));
  }
  return failure("unknown dtype '" + std::string(name) + "'; there are " + known);
}

std::size_t size_of(DType dtype) {
  switch (dtype) {
    case DType::int8:
    case DType::boolean:
      return 1;
    case DType::int16:
      return 2;
    case DType::float32:
    case DType::int32:
      return 4;
    case DType::complex64:
    case DType::int64:
      return 8;
  }
  return 0;
}

std::int64_t TensorType::elements() const {
  std::int64_t product = 1;
  for (const std::int64_t extent : shape) {
    if (__builtin_mul_overflow(product, extent, &product)) return std::numeric_limits<std::int64_t>::max();
  }
  return product;
}

std::size_t TensorType::pixel_pitch() const {
  const std::size_t bytes = static_cast<std::size_t>(shape.back()) * size_of(dtype);
  return (bytes + pixel_word_bytes - 1) / pixel_word_bytes * pixel_word_bytes;
}

std::size_t TensorType::bytes() const {
  if (!is_feature_map()) return dense_bytes();
  std::size_t size = pixel_pitch();
  for (std::size_t axis = 0; axis < 3; ++axis) {
    size = saturating_product(size, static_cast<std::size_t>(shape[axis]));
  }
  return size;
}

std::size_t TensorType::dense_bytes() const {
  return saturating_product(static_cast<std::size_t>(elements()), size_of(dtype));
}

std::string TensorType::describe() const {
  std::string text(name_of(dtype));
  text += '[';
  for (std::size_t axis = 0; axis < shape.size(); ++axis) {
    if (axis > 0) text += ", ";
    text += std::to_string(shape[axis]);
  }
  return text + ']';
}

std::array<std::int32_t, 2> value_range(DType dtype) {
  return with_activation(dtype, []<class Activation>(Activation) -> std::array<std::int32_t, 2> {
    return {std::numeric_limits<Activation>::min(), std::numeric_limits<Activation>::max()};
  });
}

void copy_from_dense(const TensorType& type, const std::byte* dense, std::byte* storage) {
  if (type.dtype == DType::boolean) {
    // A byte that is neither 0 nor 1 would be no bool.
    std::transform(dense, dense + type.dense_bytes(), storage,
                   [](std::byte value) { return std::byte{value != std::byte{0}}; });
    return;
  }
  if (!type.is_feature_map()) {
    std::memcpy(storage, dense, type.dense_bytes());
    return;
  }
  const std::size_t values = static_cast<std::size_t>(type.shape[3]) * size_of(type.dtype);
  const std::size_t pitch = type.pixel_pitch();
  const std::size_t pixels = type.bytes() / pitch;
  for (std::size_t pixel = 0; pixel < pixels; ++pixel) {
    std::memcpy(storage + pixel * pitch, dense + pixel * values, values);
  }
}

void copy_to_dense(const TensorType& type, const std::byte* storage, std::byte* dense) {
  if (!type.is_feature_map()) {
    std::memcpy(dense, storage, type.dense_bytes());
    return;
  }
  const std::size_t values = static_cast<std::size_t>(type.shape[3]) * size_of(type.dtype);
  const std::size_t pitch = type.pixel_pitch();
  const std::size_t pixels = type.bytes() / pitch;
  for (std::size_t pixel = 0; pixel < pixels; ++pixel) {
    std::memcpy(dense + pixel * values, storage + pixel * pitch, values);
  }
}

}  // namespace cosoc
