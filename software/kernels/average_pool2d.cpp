/// Rescaled sum over a window of a feature map; padding contributes nothing, so one multiplier serves all windows.
#include <algorithm>
#include <nlohmann/json.hpp>
#include <type_traits>
#include <vector>

#include "kernels/arithmetic.hpp"
#include "kernels/operations.hpp"
#include "kernels/pool.hpp"

namespace cosoc {
namespace {

class AveragePool2D final : public Kernel {
 public:
  AveragePool2D(const Window& window, float multiplier, std::array<std::int16_t, 2> clamp)
      : window_(window), multiplier_(multiplier), clamp_(clamp) {}

  std::string_view name() const override { return "average_pool2d"; }
  nlohmann::json attributes() const override {
    return {{"kernel", window_.kernel},
            {"stride", window_.stride},
            {"padding", window_.padding},
            {"multiplier", multiplier_},
            {"clamp", clamp_}};
  }

  Status check(std::span<const TensorType> inputs, std::span<const TensorType> outputs) const override {
    if (auto status = check_pool(name(), window_, inputs, outputs); !status) return status;
    TypeCheck check(name(), inputs, outputs);
    const std::int64_t largest_window =
        std::min(window_.kernel[0], inputs[0].shape[1]) * std::min(window_.kernel[1], inputs[0].shape[2]);
    check.require(largest_window <= INT32_MAX / 255, "a window of more than 8,421,504 pixels could overflow int32");
    check.clamp(outputs[0], clamp_);
    return check.status();
  }

  Status run(std::span<const TensorView> inputs, std::span<const TensorView> outputs) const override {
    with_activation(inputs[0].type->dtype,
                    [&]<class Activation>(Activation) { average<Activation>(inputs[0], outputs[0]); });
    return {};
  }

  Work work(std::span<const TensorType> inputs, std::span<const TensorType> outputs) const override {
    // Widening additions.
    return {pool_operations(window_, outputs[0]), inputs[0].bytes() + outputs[0].bytes(), 2.0};
  }

 private:
  template <class Activation>
  void average(const TensorView& input, const TensorView& output) const {
    using Sum = std::conditional_t<sizeof(Activation) == 1, std::int32_t, std::int64_t>;
    const std::size_t pitch = input.type->pixel_pitch() / sizeof(Activation);
    const std::int32_t in_zero_point = input.type->zero_point;
    const std::int32_t out_zero_point = output.type->zero_point;
    std::vector<Sum> sums(pitch);
    const auto average = [&](const Activation* first, std::int64_t rows, std::int64_t columns, std::size_t row_pitch,
                             Activation* out) {
      std::fill(sums.begin(), sums.end(), 0);
      for (std::int64_t row = 0; row < rows; ++row, first += row_pitch) {
        const Activation* pixel = first;
        for (std::int64_t column = 0; column < columns; ++column, pixel += pitch) {
          for (std::size_t channel = 0; channel < pitch; ++channel) sums[channel] += pixel[channel] - in_zero_point;
        }
      }
      for (std::size_t channel = 0; channel < pitch; ++channel) {
        out[channel] = requantize<Activation>(sums[channel], multiplier_, out_zero_point, clamp_);
      }
    };
    for_each_window<Activation>(window_, input, output, average);
  }

  Window window_;
  float multiplier_;
  std::array<std::int16_t, 2> clamp_;
};

}  // namespace

KernelResult make_average_pool2d(const nlohmann::json& attributes) {
  AttributeReader reader("average_pool2d", attributes);
  const Window window = read_pool_window(reader);
  const float multiplier = reader.number("multiplier");
  const auto clamp = reader.clamp();
  if (auto status = reader.finish(); !status) return tl::unexpected(status.error());
  return std::make_shared<const AveragePool2D>(window, multiplier, clamp);
}

}  // namespace cosoc
