#include "kernels/check.hpp"

#include <algorithm>

namespace cosoc {

bool TypeCheck::counts(std::size_t inputs, std::size_t outputs) {
  if (inputs_.size() != inputs || outputs_.size() != outputs) {
    fail("expected " + std::to_string(inputs) + " inputs and " + std::to_string(outputs) + " outputs, found " +
         std::to_string(inputs_.size()) + " and " + std::to_string(outputs_.size()));
    return false;
  }
  for (const auto list : {inputs_, outputs_}) {
    for (const TensorType& type : list) {
      if (std::any_of(type.shape.begin(), type.shape.end(), [](std::int64_t extent) { return extent < 1; })) {
        fail(position(type) + " has an extent below 1: " + type.describe());
        return false;
      }
    }
  }
  return true;
}

void TypeCheck::dtype(const TensorType& type, DType dtype) {
  if (type.dtype == dtype) return;
  fail(position(type) + " must be " + std::string(name_of(dtype)) + ", not " + type.describe());
}

void TypeCheck::rank(const TensorType& type, std::initializer_list<std::size_t> ranks) {
  if (std::find(ranks.begin(), ranks.end(), type.shape.size()) != ranks.end()) return;
  std::string list;
  for (const std::size_t rank : ranks) list += (list.empty() ? "" : " or ") + std::to_string(rank);
  fail(position(type) + " must have " + list + " dimensions: " + type.describe());
}

void TypeCheck::shape(const TensorType& type, const std::vector<std::int64_t>& expected) {
  if (type.shape == expected) return;
  const TensorType wanted{.dtype = type.dtype, .shape = expected};
  fail(position(type) + " must be " + wanted.describe() + ", not " + type.describe());
}

void TypeCheck::feature_map(const TensorType& type) {
  if (type.dtype != DType::int8 && type.dtype != DType::int16) {
    fail(position(type) + " must be int8 or int16, not " + type.describe());
  }
  rank(type, {4});
  require(type.scale > 0.0F, "the scale of a feature map must be above 0");
  const auto [low, high] = value_range(type.dtype);
  require(low <= type.zero_point && type.zero_point <= high, "the zero point of a feature map of " +
                                                                 std::string(name_of(type.dtype)) + " must be in " +
                                                                 std::to_string(low) + ".." + std::to_string(high));
}

void TypeCheck::feature_map_like(const TensorType& type, const TensorType& other) {
  feature_map(type);
  dtype(type, other.dtype);
}

void TypeCheck::clamp(const TensorType& output, const std::array<std::int16_t, 2>& limits) {
  const auto [low, high] = value_range(output.dtype);
  require(low <= limits[0] && limits[1] <= high, "the clamp " + std::to_string(limits[0]) + ".." +
                                                     std::to_string(limits[1]) + " is not possible for " +
                                                     output.describe());
}

void TypeCheck::require(bool condition, std::string_view message) {
  if (!condition) fail(std::string(message));
}

Status TypeCheck::status() const {
  if (!problem_.empty()) return failure(problem_);
  return {};
}

std::string TypeCheck::position(const TensorType& type) const {
  for (std::size_t i = 0; i < inputs_.size(); ++i) {
    if (&inputs_[i] == &type) return "input " + std::to_string(i);
  }
  return "output " + std::to_string(&type - outputs_.data());
}

void TypeCheck::fail(const std::string& message) {
  if (problem_.empty()) problem_ = operation_ + ": " + message;
}

}  // namespace cosoc
