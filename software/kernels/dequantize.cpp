/// A feature map to float32; with `channels_last` in the feature map's own order, (N, H, W, C) or (N, L, C).
#include <algorithm>
#include <nlohmann/json.hpp>

#include "kernels/attributes.hpp"
#include "kernels/check.hpp"
#include "kernels/layout.hpp"
#include "kernels/operations.hpp"

namespace cosoc {
namespace {

class Dequantize final : public Kernel {
 public:
  explicit Dequantize(bool channels_last) : channels_last_(channels_last) {}

  std::string_view name() const override { return "dequantize"; }
  nlohmann::json attributes() const override { return layout_attributes(channels_last_); }

  Status check(std::span<const TensorType> inputs, std::span<const TensorType> outputs) const override {
    TypeCheck check(name(), inputs, outputs);
    if (!check.counts(1, 1)) return check.status();
    check.feature_map(inputs[0]);
    check.dtype(outputs[0], DType::float32);
    check.rank(outputs[0], {2, 3, 4});
    if (!check.good()) return check.status();
    check_layout(check, outputs[0].shape, inputs[0].shape, channels_last_);
    return check.status();
  }

  Status run(std::span<const TensorView> inputs, std::span<const TensorView> outputs) const override {
    with_activation(inputs[0].type->dtype, [&]<class Activation>(Activation) {
      dequantize<Activation>(inputs[0], outputs[0], channels_last_);
    });
    return {};
  }

  Work work(std::span<const TensorType> inputs, std::span<const TensorType> outputs) const override {
    // Widening, subtraction, multiplication.
    return {static_cast<std::uint64_t>(outputs[0].elements()), inputs[0].bytes() + outputs[0].bytes(), 1.0};
  }

 private:
  template <class Activation>
  static void dequantize(const TensorView& input, const TensorView& output, bool channels_last) {
    const TensorType& type = *input.type;
    const auto images = static_cast<std::size_t>(type.shape[0]);
    const auto pixels = static_cast<std::size_t>(type.shape[1] * type.shape[2]);
    const auto channels = static_cast<std::size_t>(type.shape[3]);
    const std::size_t pitch = type.pixel_pitch() / sizeof(Activation);
    const auto* in = input.as<Activation>();
    auto* out = output.as<float>();
    if (channels_last) {
      for (std::size_t pixel = 0; pixel < images * pixels; ++pixel, in += pitch, out += channels) {
        std::transform(in, in + channels, out,
                       [&](std::int32_t stored) { return static_cast<float>(stored - type.zero_point) * type.scale; });
      }
      return;
    }
    for (std::size_t image = 0; image < images; ++image) {
      for (std::size_t channel = 0; channel < channels; ++channel) {
        for (std::size_t pixel = 0; pixel < pixels; ++pixel, ++out) {
          const std::int32_t stored = in[(image * pixels + pixel) * pitch + channel];
          *out = static_cast<float>(stored - type.zero_point) * type.scale;
        }
      }
    }
  }

  bool channels_last_;
};

}  // namespace

KernelResult make_dequantize(const nlohmann::json& attributes) {
  AttributeReader reader("dequantize", attributes);
  const bool channels_last = reader.has("channels_last") && reader.flag("channels_last");
  if (auto status = reader.finish(); !status) return tl::unexpected(status.error());
  return std::make_shared<const Dequantize>(channels_last);
}

}  // namespace cosoc
