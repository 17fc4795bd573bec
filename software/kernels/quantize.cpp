/// float32 to a feature map; with `channels_last` of the feature map's own order, (N, H, W, C) or (N, L, C).
#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>

#include "kernels/arithmetic.hpp"
#include "kernels/attributes.hpp"
#include "kernels/check.hpp"
#include "kernels/layout.hpp"
#include "kernels/operations.hpp"

namespace cosoc {
namespace {

class Quantize final : public Kernel {
 public:
  explicit Quantize(bool channels_last) : channels_last_(channels_last) {}

  std::string_view name() const override { return "quantize"; }
  nlohmann::json attributes() const override { return layout_attributes(channels_last_); }

  Status check(std::span<const TensorType> inputs, std::span<const TensorType> outputs) const override {
    TypeCheck check(name(), inputs, outputs);
    if (!check.counts(1, 1)) return check.status();
    check.dtype(inputs[0], DType::float32);
    check.rank(inputs[0], {2, 3, 4});
    check.feature_map(outputs[0]);
    if (!check.good()) return check.status();
    check_layout(check, inputs[0].shape, outputs[0].shape, channels_last_);
    check.require(inputs[0].shape.size() != 2 || outputs[0].shape[1] * outputs[0].shape[2] == 1,
                  "(N, F) becomes one pixel, not " + outputs[0].describe());
    return check.status();
  }

  Status run(std::span<const TensorView> inputs, std::span<const TensorView> outputs) const override {
    with_activation(outputs[0].type->dtype,
                    [&]<class Activation>(Activation) { quantize<Activation>(inputs[0], outputs[0], channels_last_); });
    return {};
  }

  Work work(std::span<const TensorType> inputs, std::span<const TensorType> outputs) const override {
    return {static_cast<std::uint64_t>(inputs[0].elements()), inputs[0].bytes() + outputs[0].bytes()};
  }

 private:
  template <class Activation>
  static void quantize(const TensorView& input, const TensorView& output, bool channels_last) {
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
    if (channels_last) {
      for (std::size_t pixel = 0; pixel < images * pixels; ++pixel, in += channels, out += pitch) {
        std::transform(in, in + channels, out, [&](float real) {
          return to_activation<Activation>(real * inverse_scale, type.zero_point, limits);
        });
      }
      return;
    }
    for (std::size_t image = 0; image < images; ++image) {
      for (std::size_t channel = 0; channel < channels; ++channel) {
        for (std::size_t pixel = 0; pixel < pixels; ++pixel, ++in) {
          out[(image * pixels + pixel) * pitch + channel] =
              to_activation<Activation>(*in * inverse_scale, type.zero_point, limits);
        }
      }
    }
  }

  bool channels_last_;
};

}  // namespace

KernelResult make_quantize(const nlohmann::json& attributes) {
  AttributeReader reader("quantize", attributes);
  const bool channels_last = reader.has("channels_last") && reader.flag("channels_last");
  if (auto status = reader.finish(); !status) return tl::unexpected(status.error());
  return std::make_shared<const Quantize>(channels_last);
}

}  // namespace cosoc
