/// Rescaled sum over a window of a feature map; padding contributes nothing, so one multiplier serves all windows.
#include <nlohmann/json.hpp>

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
    check.require(average_fits(window_, inputs[0]), "a window of more than 8,421,504 pixels could overflow int32");
    check.clamp(outputs[0], clamp_);
    return check.status();
  }

  Status run(std::span<const TensorView> inputs, std::span<const TensorView> outputs) const override {
    average_pool(window_, multiplier_, clamp_, inputs[0], outputs[0]);
    return {};
  }

  Work work(std::span<const TensorType> inputs, std::span<const TensorType> outputs) const override {
    // Widening additions.
    return {pool_operations(window_, outputs[0]), inputs[0].bytes() + outputs[0].bytes(), 2.0};
  }

 private:
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
