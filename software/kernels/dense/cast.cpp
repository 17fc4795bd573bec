/// From one element type to another, as PyTorch's Tensor.to does.
#include <cmath>
#include <limits>

#include "kernels/dense/operation.hpp"

namespace cosoc {
namespace dense {
namespace {

template <class To, class From>
To converted(From value) {
  if constexpr (std::is_same_v<From, Complex64>) {
    if constexpr (std::is_same_v<To, Complex64>) {
      return value;
    } else if constexpr (std::is_same_v<To, bool>) {
      return value != Complex64{};
    } else {
      return converted<To>(value.real());
    }
  } else if constexpr (std::is_same_v<To, std::int64_t> && std::is_same_v<From, float>) {
    // What does not fit becomes the least integer, as on x86; PyTorch leaves it open.
    const bool fits = value >= -0x1p63F && value < 0x1p63F;
    return fits ? static_cast<std::int64_t>(value) : std::numeric_limits<std::int64_t>::min();
  } else if constexpr (std::is_same_v<To, bool>) {
    return value != From{};
  } else if constexpr (std::is_same_v<To, Complex64>) {
    return Complex64(static_cast<float>(value));
  } else {
    return static_cast<To>(value);
  }
}

class Cast final : public Operation {
 public:
  Cast(const nlohmann::json& attributes, DType dtype) : Operation("cast", attributes), dtype_(dtype) {}

  Status check(std::span<const TensorType> inputs, std::span<const TensorType> outputs) const override {
    TypeCheck check(name(), inputs, outputs);
    if (!check.counts(1, 1)) return check.status();
    check_dense(check, inputs[0]);
    check.dtype(outputs[0], dtype_);
    check.shape(outputs[0], inputs[0].shape);
    return check.status();
  }

  Status run(std::span<const TensorView> inputs, std::span<const TensorView> outputs) const override {
    const auto count = static_cast<std::size_t>(inputs[0].type->elements());
    with_element(inputs[0].type->dtype, [&]<class From>(From) {
      with_element(outputs[0].type->dtype, [&]<class To>(To) {
        const From* in = inputs[0].as<From>();
        To* out = outputs[0].as<To>();
        for (std::size_t i = 0; i < count; ++i) out[i] = converted<To>(in[i]);
      });
    });
    return {};
  }

 private:
  DType dtype_;
};

}  // namespace
}  // namespace dense

KernelResult make_cast(const nlohmann::json& attributes) {
  AttributeReader reader("cast", attributes);
  constexpr std::array<DType, 4> dtypes = {DType::float32, DType::int64, DType::boolean, DType::complex64};
  constexpr std::array<std::string_view, 4> names = {"float32", "int64", "bool", "complex64"};
  const DType dtype = dtypes[reader.choice("dtype", names)];
  return dense::finish<dense::Cast>(reader, attributes, dtype);
}

}  // namespace cosoc
