#include <nlohmann/json.hpp>

#include "cosoc/client.hpp"

namespace cosoc {
namespace {

using Function = std::function<Status(std::span<const TensorView> inputs, std::span<const TensorView> outputs)>;

class UserKernel final : public Kernel {
 public:
  UserKernel(std::string name, Function run, std::uint64_t operations)
      : name_(std::move(name)), run_(std::move(run)), operations_(operations) {}

  std::string_view name() const override { return name_; }
  nlohmann::json attributes() const override { return nlohmann::json::object(); }
  Status check(std::span<const TensorType>, std::span<const TensorType>) const override { return {}; }
  Status run(std::span<const TensorView> inputs, std::span<const TensorView> outputs) const override {
    return run_(inputs, outputs);
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
  Function run_;
  std::uint64_t operations_;
};

}  // namespace

std::shared_ptr<const Kernel> make_user_kernel(std::string name, Function run, std::uint64_t operations) {
  return std::make_shared<const UserKernel>(std::move(name), std::move(run), operations);
}

}  // namespace cosoc
