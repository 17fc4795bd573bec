#include "kernels/kernel.hpp"

#include <nlohmann/json.hpp>
#include <string>

#include "cosoc/generated/kernels.hpp"

namespace cosoc {

Result<std::shared_ptr<const Kernel>> make_kernel(std::string_view name, const nlohmann::json& attributes) {
  std::string known;
  for (const KernelMaker& maker : kernel_makers) {
    if (maker.operation == name) return maker.make(attributes);
    known += (known.empty() ? "" : ", ") + std::string(maker.operation);
  }
  return failure("unknown operation '" + std::string(name) + "'; there are " + known);
}

std::vector<std::string_view> kernel_names() {
  std::vector<std::string_view> names;
  for (const KernelMaker& maker : kernel_makers) names.push_back(maker.operation);
  return names;
}

}  // namespace cosoc
