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
  Add(std::array<float, 2> multipliers, std::array<std::int16_t, 2> clamp) : multipliers_(multipliers), clamp_(clamp) {}

  std::string_view name() const override { return "add"; }
  nlohmann::json attributes() const override { return {{"multipliers", multipliers_}, {"clamp", clamp_}}; }

  Status check(std::span<const TensorType> inputs, std::span<const TensorType> outputs) const override {
    TypeCheck check(name(), inputs, outputs);
    if (!check.counts(2, 1)) return check.status();
    check.feature_map(inputs[0]);
    check.feature_map_like(inputs[1], inputs[0]);
    check.feature_map_like(outputs[0], inputs[0]);
    check.shape(inputs[1], inputs[0].shape);
    check.shape(outputs[0], inputs[0].shape);
    check.clamp(outputs[0], clamp_);
    check.require(multiplier_of_b(outputs[0].dtype) <= max_residual_multiplier,
                  "the second multiplier must be below 4096, with int16 below 16");
    return check.status();
  }

  Status run(std::span<const TensorView> inputs, std::span<const TensorView> outputs) const override {
    const TensorType& type = *outputs[0].type;
    const std::int32_t zero_a = inputs[0].type->zero_point;
    const std::int32_t zero_b = inputs[1].type->zero_point;
    const std::int64_t multiplier = multiplier_of_b(type.dtype);
    with_activation(type.dtype, [&]<class Activation>(Activation) {
      const auto* a = inputs[0].as<Activation>();
      const auto* b = inputs[1].as<Activation>();
      auto* out = outputs[0].as<Activation>();
      // Padding channels are added too: nobody reads them.
      for (std::size_t i = 0; i < type.bytes() / sizeof(Activation); ++i) {
        out[i] = requantize_with_residual<Activation>(a[i] - zero_a, multipliers_[0], (b[i] - zero_b) * multiplier,
                                                      type.zero_point, clamp_);
      }
    });
    return {};
  }

  Work work(std::span<const TensorType> inputs, std::span<const TensorType> outputs) const override {
    return {static_cast<std::uint64_t>(outputs[0].elements()), 2 * inputs[0].bytes() + outputs[0].bytes()};
  }

 private:
  std::int64_t multiplier_of_b(DType dtype) const {
    return with_activation(
        dtype, [&]<class Activation>(Activation) { return residual_multiplier_of<Activation>(multipliers_[1]); });
  }

  std::array<float, 2> multipliers_;
  std::array<std::int16_t, 2> clamp_;
};

}  // namespace

KernelResult make_add(const nlohmann::json& attributes) {
  AttributeReader reader("add", attributes);
  const auto multipliers = reader.numbers<2>("multipliers");
  const auto clamp = reader.clamp();
  reader.require(multipliers[1] >= 0, "the second multiplier must not be negative");
  if (auto status = reader.finish(); !status) return tl::unexpected(status.error());
  return std::make_shared<const Add>(multipliers, clamp);
}

}  // namespace cosoc
