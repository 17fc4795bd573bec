/// Sum of two feature maps with scales of their own: the first one as a convolution's product, the second one as its
/// residual.
#include <nlohmann/json.hpp>

#include "kernels/arithmetic.hpp"
#include "kernels/attributes.hpp"
#include "kernels/check.hpp"
#include "kernels/operations.hpp"

namespace cosoc {
namespace {

class Add final : public Kernel {
 public:
  Add(std::array<float, 2> multipliers, std::array<std::int8_t, 2> clamp)
      : multipliers_(multipliers), residual_multiplier_(residual_multiplier_of(multipliers[1])), clamp_(clamp) {}

  std::string_view name() const override { return "add"; }
  nlohmann::json attributes() const override { return {{"multipliers", multipliers_}, {"clamp", clamp_}}; }

  Status check(std::span<const TensorType> inputs, std::span<const TensorType> outputs) const override {
    TypeCheck check(name(), inputs, outputs);
    if (!check.counts(2, 1)) return check.status();
    check.feature_map(inputs[0]);
    check.feature_map(inputs[1]);
    check.feature_map(outputs[0]);
    check.shape(inputs[1], inputs[0].shape);
    check.shape(outputs[0], inputs[0].shape);
    return check.status();
  }

  Status run(std::span<const TensorView> inputs, std::span<const TensorView> outputs) const override {
    const TensorType& type = *outputs[0].type;
    const std::int32_t zero_a = inputs[0].type->zero_point;
    const std::int32_t zero_b = inputs[1].type->zero_point;
    const auto* a = inputs[0].as<std::int8_t>();
    const auto* b = inputs[1].as<std::int8_t>();
    auto* out = outputs[0].as<std::int8_t>();
    // Padding channels are added too: nobody reads them.
    for (std::size_t i = 0; i < type.bytes(); ++i) {
      const std::int64_t residual = (b[i] - zero_b) * residual_multiplier_;
      out[i] = requantize_with_residual(a[i] - zero_a, multipliers_[0], residual, type.zero_point, clamp_);
    }
    return {};
  }

  Work work(std::span<const TensorType> inputs, std::span<const TensorType> outputs) const override {
    return {static_cast<std::uint64_t>(outputs[0].elements()), 2 * inputs[0].bytes() + outputs[0].bytes()};
  }

 private:
  std::array<float, 2> multipliers_;
  std::int64_t residual_multiplier_;
  std::array<std::int8_t, 2> clamp_;
};

}  // namespace

KernelResult make_add(const nlohmann::json& attributes) {
  AttributeReader reader("add", attributes);
  const auto multipliers = reader.numbers<2>("multipliers");
  const auto clamp = reader.clamp();
  reader.require(multipliers[1] >= 0 && residual_multiplier_of(multipliers[1]) <= max_residual_multiplier,
                 "the second multiplier must be in 0..4096");
  if (auto status = reader.finish(); !status) return tl::unexpected(status.error());
  return std::make_shared<const Add>(multipliers, clamp);
}

}  // namespace cosoc
