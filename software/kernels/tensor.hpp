/// Tensors as kernels and drivers see them.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "device/memory.hpp"
#include "device/result.hpp"

namespace cosoc {

enum class DType { float32, int8, int16, int32, complex64, int64, boolean };

std::string_view name_of(DType dtype);
Result<DType> dtype_of(std::string_view name);
std::size_t size_of(DType dtype);

/// Pixels of a feature map are stored in whole words of this many bytes.
inline constexpr std::size_t pixel_word_bytes = 16;

/// Type of a tensor: what it is and how it lies in memory.
///
/// int8 and int16 tensors of rank 4 are feature maps: shape (N, H, W, C), stored in that order with every pixel padded
/// to a multiple of 16 bytes. Padding bytes are unspecified: whoever reads a feature map ignores them. The weight of a
/// conv2d, int8 (Cout, Kh, Kw, Cin / groups), lies in memory by the same rule. Every other tensor is dense and
/// row-major in the order of its shape.
struct TensorType {
  DType dtype = DType::float32;
  std::vector<std::int64_t> shape;
  /// real = scale * (stored - zero_point); of int8 and int16 tensors only.
  float scale = 1.0F;
  std::int32_t zero_point = 0;

  /// Product of the shape, at most the largest int64.
  std::int64_t elements() const;
  bool is_feature_map() const { return (dtype == DType::int8 || dtype == DType::int16) && shape.size() == 4; }
  /// Bytes from one pixel of a feature map to the next.
  std::size_t pixel_pitch() const;
  /// Bytes of storage, at most the largest std::size_t.
  std::size_t bytes() const;
  /// Bytes of the same values without padding.
  std::size_t dense_bytes() const;
  /// For messages: `int8[1, 32, 32, 16]`.
  std::string describe() const;

  bool operator==(const TensorType&) const = default;
};

/// Lowest and highest value of an int8 or int16 tensor; those of int8 for any other.
std::array<std::int32_t, 2> value_range(DType dtype);

/// Calls `visit` with a value of the type of a feature map's elements.
template <class Visit>
decltype(auto) with_activation(DType dtype, const Visit& visit) {
  return dtype == DType::int16 ? visit(std::int16_t{}) : visit(std::int8_t{});
}

/// Copies dense row-major values, `type.dense_bytes()` of them, into a tensor's storage.
void copy_from_dense(const TensorType& type, const std::byte* dense, std::byte* storage);
/// Copies a tensor's storage to dense row-major values.
void copy_to_dense(const TensorType& type, const std::byte* storage, std::byte* dense);

/// A tensor in device memory. Constants never change while a model is loaded, so drivers may keep repacked copies of
/// them.
struct TensorView {
  const TensorType* type = nullptr;
  Block block;
  bool constant = false;

  template <class T>
  T* as() const {
    return block.as<T>();
  }
};

}  // namespace cosoc
