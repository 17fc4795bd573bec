/// Largest value of a window of a feature map; padding is not a value.
#include <nlohmann/json.hpp>

#include "kernels/operations.hpp"
#include "kernels/pool.hpp"

namespace cosoc {
namespace {

class MaxPool2D final : public Kernel {
 public:
  explicit MaxPool2D(const Window& window) : window_(window) {}

  std::string_view name() const override { return "max_pool2d"; }
  nlohmann::json attributes() const override {
    return {{"kernel", window_.kernel}, {"stride", window_.stride}, {"padding", window_.padding}};
  }

  Status check(std::span<const TensorType> inputs, std::span<const TensorType> outputs) const override {
    if (auto status = check_pool(name(), window_, inputs, outputs); !status) return status;
    TypeCheck check(name(), inputs, outputs);
    check.require(inputs[0].scale == outputs[0].scale && inputs[0].zero_point == outputs[0].zero_point,
                  "the output must have the input's scale and zero point");
    return check.status();
  }

  Status run(std::span<const TensorView> inputs, std::span<const TensorView> outputs) const override {
    max_pool(window_, inputs[0], outputs[0]);
    return {};
  }

  Work work(std::span<const TensorType> inputs, std::span<const TensorType> outputs) const override {
    // A maximum of 16 lanes, bound by loads.
    return {pool_operations(window_, outputs[0]), inputs[0].bytes() + outputs[0].bytes(), 4.0};
  }

 private:
  Window window_;
};

}  // namespace

KernelResult make_max_pool2d(const nlohmann::json& attributes) {
  AttributeReader reader("max_pool2d", attributes);
  const Window window = read_pool_window(reader);
  if (auto status = reader.finish(); !status) return tl::unexpected(status.error());
  return std::make_shared<const MaxPool2D>(window);
}

}  // namespace cosoc
