/// float32 to a feature map.
#include <limits>
#include <nlohmann/json.hpp>

#include "kernels/arithmetic.hpp"
#include "kernels/attributes.hpp"
#include "kernels/check.hpp"
#include "kernels/operations.hpp"

namespace cosoc {
namespace {

class Quantize final : public Kernel {
 public:
  std::string_view name() const override { return "quantize"; }
  nlohmann::json attributes() const override { return nlohmann::json::object(); }

  Status check(std::span<const TensorType> inputs, std::span<const TensorType> outputs) const override {
    TypeCheck check(name(), inputs, outputs);
    if (!check.counts(1, 1)) return check.status();
    check.dtype(inputs[0], DType::float32);
    check.rank(inputs[0], {2, 3, 4});
    check.feature_map(outputs[0]);
    if (!check.good()) return check.status();
    const auto& in = inputs[0].shape;
    check.shape(outputs[0], in.size() == 2   ? std::vector<std::int64_t>{in[0], 1, 1, in[1]}
                            : in.size() == 3 ? std::vector<std::int64_t>{in[0], 1, in[2], in[1]}
                                             : std::vector<std::int64_t>{in[0], in[2], in[3], in[1]});
    return check.status();
  }

  Status run(std::span<const TensorView> inputs, std::span<const TensorView> outputs) const override {
    with_activation(outputs[0].type->dtype,
                    [&]<class Activation>(Activation) { quantize<Activation>(inputs[0], outputs[0]); });
    return {};
  }

  Work work(std::span<const TensorType> inputs, std::span<const TensorType> outputs) const override {
    return {static_cast<std::uint64_t>(inputs[0].elements()), inputs[0].bytes() + outputs[0].bytes()};
  }

 private:
  template <class Activation>
  static void quantize(const TensorView& input, const TensorView& output) {
    constexpr std::array<std::int16_t, 2> limits = {std::numeric_limits<Activation>::min(),
                                                    std::numeric_limits<Activation>::max()};
    const TensorType& type = *output.type;
    const auto images = static_cast<std::size_t>(type.shape[0]);
    const auto pixels = static_cast<std::size_t>(type.shape[1] * type.shape[2]);
    const auto channels = static_cast<std::size_t>(type.shape[3]);
    const std::size_t pitch = type.pixel_pitch() / sizeof(Activation);
    const float inverse_scale = 1.0F / type.scale;
    const auto* in = input.as<float>();
    auto* out = output.as<Activation>();
    for (std::size_t image = 0; image < images; ++image) {
      for (std::size_t channel = 0; channel < channels; ++channel) {
        for (std::size_t pixel = 0; pixel < pixels; ++pixel, ++in) {
          out[(image * pixels + pixel) * pitch + channel] =
              to_activation<Activation>(*in * inverse_scale, type.zero_point, limits);
        }
      }
    }
  }
};

}  // namespace

KernelResult make_quantize(const nlohmann::json& attributes) {
  if (auto status = AttributeReader("quantize", attributes).finish(); !status) return tl::unexpected(status.error());
  return std::make_shared<const Quantize>();
}

}  // namespace cosoc
