#include "kernels/kernel.hpp"

#include <array>
#include <nlohmann/json.hpp>
#include <string>

#include "kernels/operations.hpp"

namespace cosoc {
namespace {

struct Operation {
  std::string_view name;
  KernelResult (*make)(const nlohmann::json& attributes);
};

constexpr std::array operations = {
    Operation{"quantize", make_quantize},
    Operation{"dequantize", make_dequantize},
    Operation{"conv2d", make_conv2d},
    Operation{"max_pool2d", make_max_pool2d},
    Operation{"average_pool2d", make_average_pool2d},
    Operation{"add", make_add},
    Operation{"fft", make_fft},
    Operation{"zip", make_zip},
    Operation{"transpose", make_transpose},
    Operation{"magnitude_squared", make_magnitude_squared},
};

}  // namespace

Result<std::shared_ptr<const Kernel>> make_kernel(std::string_view name, const nlohmann::json& attributes) {
  std::string known;
  for (const Operation& operation : operations) {
    if (operation.name == name) return operation.make(attributes);
    known += (known.empty() ? "" : ", ") + std::string(operation.name);
  }
  return failure("unknown operation '" + std::string(name) + "'; there are " + known);
}

std::vector<std::string_view> kernel_names() {
  std::vector<std::string_view> names;
  for (const Operation& operation : operations) names.push_back(operation.name);
  return names;
}

}  // namespace cosoc
