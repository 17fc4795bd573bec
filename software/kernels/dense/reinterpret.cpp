/// complex64 as float32 with a last axis of two, real and imaginary part, or the other way: the same bytes.
#include <cstring>

#include "kernels/dense/operation.hpp"

namespace cosoc {
namespace dense {
namespace {

class Reinterpret final : public Operation {
 public:
  Reinterpret(const nlohmann::json& attributes, DType dtype) : Operation("reinterpret", attributes), dtype_(dtype) {}

  Status check(std::span<const TensorType> inputs, std::span<const TensorType> outputs) const override {
    TypeCheck check(name(), inputs, outputs);
    if (!check.counts(1, 1)) return check.status();
    const bool to_complex = dtype_ == DType::complex64;
    check.dtype(inputs[0], to_complex ? DType::float32 : DType::complex64);
    check.dtype(outputs[0], dtype_);
    Shape parts = (to_complex ? outputs : inputs)[0].shape;
    parts.push_back(2);
    check.shape((to_complex ? inputs : outputs)[0], parts);
    return check.status();
  }

  Status run(std::span<const TensorView> inputs, std::span<const TensorView> outputs) const override {
    std::memcpy(outputs[0].block.data, inputs[0].block.data, inputs[0].type->dense_bytes());
    return {};
  }

 private:
  DType dtype_;
};

}  // namespace
}  // namespace dense

KernelResult make_reinterpret(const nlohmann::json& attributes) {
  constexpr std::array<std::string_view, 2> names = {"float32", "complex64"};
  AttributeReader reader("reinterpret", attributes);
  const DType dtype = reader.choice("dtype", names) == 0 ? DType::float32 : DType::complex64;
  return dense::finish<dense::Reinterpret>(reader, attributes, dtype);
}

}  // namespace cosoc
