/// What the kernels of dense tensors share: a base class, and the choice of an element type.
#pragma once

#include <algorithm>
#include <complex>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "kernels/attributes.hpp"
#include "kernels/check.hpp"
#include "kernels/dense/loops.hpp"
#include "kernels/operations.hpp"

namespace cosoc::dense {

using Complex64 = std::complex<float>;

/// Calls `visit` with a value of a dtype's element type: float32, int64, bool or complex64.
template <class Visit>
decltype(auto) with_element(DType dtype, const Visit& visit) {
  switch (dtype) {
    case DType::int64:
      return visit(std::int64_t{});
    case DType::boolean:
      return visit(bool{});
    case DType::complex64:
      return visit(Complex64{});
    default:
      return visit(float{});
  }
}

/// A kernel whose attributes are kept as they were given; they were read, and so checked, when it was made.
class Operation : public Kernel {
 public:
  Operation(std::string_view name, const nlohmann::json& attributes) : name_(name), attributes_(attributes) {}
  std::string_view name() const final { return name_; }
  nlohmann::json attributes() const final { return attributes_; }
  /// One operation per element of the outputs, everything read and written once.
  Work work(std::span<const TensorType> inputs, std::span<const TensorType> outputs) const override {
    Work work;
    for (const TensorType& output : outputs) {
      work.operations += static_cast<std::uint64_t>(output.elements());
      work.bytes += output.bytes();
    }
    for (const TensorType& input : inputs) work.bytes += input.bytes();
    return work;
  }

 private:
  std::string_view name_;
  nlohmann::json attributes_;
};

/// Checks that a tensor is dense: of one of the element types.
inline void check_dense(TypeCheck& check, const TensorType& type) {
  const bool dense = type.dtype == DType::float32 || type.dtype == DType::int64 || type.dtype == DType::boolean ||
                     type.dtype == DType::complex64;
  check.require(dense, "expected float32, int64, bool or complex64, found " + type.describe());
}

/// The kernel that a reader's attributes make, or what is wrong with them.
template <class K, class... Parts>
KernelResult finish(AttributeReader& reader, Parts&&... parts) {
  if (auto status = reader.finish(); !status) return tl::unexpected(status.error());
  return std::make_shared<const K>(std::forward<Parts>(parts)...);
}

}  // namespace cosoc::dense
