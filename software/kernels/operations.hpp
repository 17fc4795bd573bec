/// Makers of all operations: each reads the operation's attributes from a bundle.
#pragma once

#include <memory>
#include <nlohmann/json_fwd.hpp>

#include "kernels/kernel.hpp"

namespace cosoc {

using KernelResult = Result<std::shared_ptr<const Kernel>>;

KernelResult make_quantize(const nlohmann::json& attributes);
KernelResult make_dequantize(const nlohmann::json& attributes);
KernelResult make_conv2d(const nlohmann::json& attributes);
KernelResult make_max_pool2d(const nlohmann::json& attributes);
KernelResult make_average_pool2d(const nlohmann::json& attributes);
KernelResult make_add(const nlohmann::json& attributes);
KernelResult make_fft(const nlohmann::json& attributes);
KernelResult make_zip(const nlohmann::json& attributes);
KernelResult make_transpose(const nlohmann::json& attributes);
KernelResult make_magnitude_squared(const nlohmann::json& attributes);

}  // namespace cosoc
