/// Element-wise arithmetic on complex and real tensors.
#pragma once

#include <array>
#include <nlohmann/json_fwd.hpp>
#include <optional>

#include "kernels/kernel.hpp"

namespace cosoc {

/// In the order of the ZIP accelerator's opcodes.
enum class ZIPKind : std::uint8_t {
  add,
  sub,
  mul,
  div,
  conjugate_mul,
  multiply_add,
  conjugate_multiply_add,
  magnitude_squared,
  magnitude,
  real_add,
  real_sub,
  real_mul,
  real_div,
  real_multiply_add
};

/// Whether operands and result are real.
constexpr bool is_real(ZIPKind kind) { return kind >= ZIPKind::real_add; }
/// Whether complex operands give a real result.
constexpr bool is_narrow(ZIPKind kind) { return kind == ZIPKind::magnitude_squared || kind == ZIPKind::magnitude; }

/// 1: a, 2: a and b, 3: a, b and c.
constexpr std::size_t operands_of(ZIPKind kind) {
  if (is_narrow(kind)) return 1;
  const bool adds = kind == ZIPKind::multiply_add || kind == ZIPKind::conjugate_multiply_add;
  return adds || kind == ZIPKind::real_multiply_add ? 3 : 2;
}

/// Whether the result comes out of a divider.
constexpr bool is_divided(ZIPKind kind) {
  return kind == ZIPKind::div || kind == ZIPKind::real_div || kind == ZIPKind::magnitude;
}

/// float32 numbers as they lie in memory, complex ones as (re, im).
struct ZIPOperands {
  const float* a = nullptr;
  const float* b = nullptr;  // `b_count` elements, again and again
  const float* c = nullptr;
  float* out = nullptr;  // may be an operand, but for a `b` that repeats
  std::size_t count = 0;
  std::size_t b_count = 0;
};

/// out[i] = a[i] op b[i % b_count], and so on, with canonical NaN. The bits do not depend on the processor.
void zip_elements(ZIPKind kind, const ZIPOperands& operands);

/// Operation `zip`. `b` has the shape of `a`, or of its last axes, or one element.
class ZIPKernel final : public Kernel {
 public:
  /// `operation` is its position in `zip_operations`; a `factor` takes the place of `b`.
  ZIPKernel(std::size_t operation, std::optional<std::array<float, 2>> factor)
      : operation_(operation), factor_(factor) {}

  /// What the operation is for operands of this type.
  ZIPKind kind(const TensorType& a) const;
  const std::optional<std::array<float, 2>>& factor() const { return factor_; }

  std::string_view name() const override { return "zip"; }
  nlohmann::json attributes() const override;
  Status check(std::span<const TensorType> inputs, std::span<const TensorType> outputs) const override;
  Status run(std::span<const TensorView> inputs, std::span<const TensorView> outputs) const override;
  Work work(std::span<const TensorType> inputs, std::span<const TensorType> outputs) const override;

 private:
  std::size_t operation_;
  std::optional<std::array<float, 2>> factor_;
};

}  // namespace cosoc
