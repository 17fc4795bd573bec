#include <algorithm>
#include <nlohmann/json.hpp>

#include "cosoc/client.hpp"

namespace cosoc {
namespace {

class UserKernel final : public Kernel {
 public:
  UserKernel(std::string name, KernelFunction run, std::uint64_t operations,
             std::vector<AcceleratorImplementation> accelerators)
      : name_(std::move(name)), run_(std::move(run)), operations_(operations), accelerators_(std::move(accelerators)) {}

  std::string_view name() const override { return name_; }
  nlohmann::json attributes() const override { return nlohmann::json::object(); }
  Status check(std::span<const TensorType> inputs, std::span<const TensorType> outputs) const override {
    for (const AcceleratorImplementation& other : accelerators_) {
      if (!other.kernel) return tl::make_unexpected(other.kernel.error());
      if (auto good = (*other.kernel)->check(inputs, outputs); !good) {
        return failure(name_ + " on " + other.device + ": " + good.error().message);
      }
    }
    return {};
  }
  Status run(std::span<const TensorView> inputs, std::span<const TensorView> outputs) const override {
    return run_(inputs, outputs);
  }
  const Kernel& on(std::string_view device) const override {
    const auto found = std::ranges::find(accelerators_, device, &AcceleratorImplementation::device);
    return found == accelerators_.end() ? *this : **found->kernel;
  }
  Work work(std::span<const TensorType> inputs, std::span<const TensorType> outputs) const override {
    Work work{.operations = operations_};
    for (const auto types : {inputs, outputs}) {
      for (const TensorType& type : types) work.bytes += type.bytes();
    }
    return work;
  }

 private:
  std::string name_;
  KernelFunction run_;
  std::uint64_t operations_;
  std::vector<AcceleratorImplementation> accelerators_;
};

}  // namespace

std::shared_ptr<const Kernel> make_user_kernel(std::string name, KernelFunction run, std::uint64_t operations,
                                               std::vector<AcceleratorImplementation> accelerators) {
  return std::make_shared<const UserKernel>(std::move(name), std::move(run), operations, std::move(accelerators));
}

}  // namespace cosoc
