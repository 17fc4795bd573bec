/// Element-wise arithmetic on two complex tensors.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include "kernels/arithmetic.hpp"
#include "kernels/kernel.hpp"

namespace cosoc {

/// In the order of the ZIP accelerator's opcodes.
enum class ZIPKind : std::uint8_t { add, sub, mul, div, conjugate_mul };

/// out[i] = a[i] op b[i] with canonical NaN; `out` may be `a` or `b`.
void zip_elements(ZIPKind kind, const Complex* a, const Complex* b, Complex* out, std::size_t count);

/// Operation `zip`.
class ZIPKernel final : public Kernel {
 public:
  explicit ZIPKernel(ZIPKind kind) : kind_(kind) {}

  ZIPKind kind() const { return kind_; }

  std::string_view name() const override { return "zip"; }
  nlohmann::json attributes() const override;
  Status check(std::span<const TensorType> inputs, std::span<const TensorType> outputs) const override;
  Status run(std::span<const TensorView> inputs, std::span<const TensorView> outputs) const override;
  Work work(std::span<const TensorType> inputs, std::span<const TensorType> outputs) const override;

 private:
  ZIPKind kind_;
};

}  // namespace cosoc
