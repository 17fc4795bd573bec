/// Checks of tensor types that operations share; a message names the operation, the tensor, and what was expected and
/// found.
#pragma once

#include <initializer_list>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "device/result.hpp"
#include "kernels/tensor.hpp"

namespace cosoc {

/// Checks one call; the first problem is kept for `status`.
class TypeCheck {
 public:
  TypeCheck(std::string_view operation, std::span<const TensorType> inputs, std::span<const TensorType> outputs)
      : operation_(operation), inputs_(inputs), outputs_(outputs) {}

  /// Fails unless there are this many inputs and outputs, each with extents of at least 1. False: look at none of them.
  bool counts(std::size_t inputs, std::size_t outputs);
  void dtype(const TensorType& type, DType dtype);
  void rank(const TensorType& type, std::initializer_list<std::size_t> ranks);
  void shape(const TensorType& type, const std::vector<std::int64_t>& expected);
  /// int8 or int16 of rank 4, with a positive scale and a zero point that the dtype can hold.
  void feature_map(const TensorType& type);
  /// A feature map of the dtype of another one.
  void feature_map_like(const TensorType& type, const TensorType& other);
  /// The lowest and highest value of an output, which its dtype can hold.
  void clamp(const TensorType& output, const std::array<std::int16_t, 2>& limits);
  void require(bool condition, std::string_view message);

  bool good() const { return problem_.empty(); }
  Status status() const;

 private:
  std::string position(const TensorType& type) const;
  void fail(const std::string& message);

  std::string operation_;
  std::span<const TensorType> inputs_;
  std::span<const TensorType> outputs_;
  std::string problem_;
};

}  // namespace cosoc
