/// re * re + im * im of every element.
#include <nlohmann/json.hpp>

#include "kernels/arithmetic.hpp"
#include "kernels/attributes.hpp"
#include "kernels/check.hpp"
#include "kernels/operations.hpp"

namespace cosoc {
namespace {

class MagnitudeSquared final : public Kernel {
 public:
  std::string_view name() const override { return "magnitude_squared"; }
  nlohmann::json attributes() const override { return nlohmann::json::object(); }

  Status check(std::span<const TensorType> inputs, std::span<const TensorType> outputs) const override {
    TypeCheck check(name(), inputs, outputs);
    if (!check.counts(1, 1)) return check.status();
    check.dtype(inputs[0], DType::complex64);
    check.dtype(outputs[0], DType::float32);
    check.shape(outputs[0], inputs[0].shape);
    return check.status();
  }

  Status run(std::span<const TensorView> inputs, std::span<const TensorView> outputs) const override {
    const auto count = static_cast<std::size_t>(inputs[0].type->elements());
    const auto* in = inputs[0].as<Complex>();
    auto* out = outputs[0].as<float>();
    for (std::size_t i = 0; i < count; ++i) out[i] = canonical(squared_magnitude(in[i]));
    return {};
  }

  Work work(std::span<const TensorType> inputs, std::span<const TensorType> outputs) const override {
    return {3 * static_cast<std::uint64_t>(inputs[0].elements()), inputs[0].bytes() + outputs[0].bytes()};
  }
};

}  // namespace

KernelResult make_magnitude_squared(const nlohmann::json& attributes) {
  AttributeReader reader("magnitude_squared", attributes);
  if (auto status = reader.finish(); !status) return tl::unexpected(status.error());
  return std::make_shared<const MagnitudeSquared>();
}

}  // namespace cosoc
