/// How a kernel is made from the attributes of a bundle.
///
/// The kernel of an operation is the file kernels/<operation>.cpp that defines
/// `KernelResult make_<operation>(const nlohmann::json& attributes)`; the build makes the table of all from these
/// names.
#pragma once

#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string_view>

#include "kernels/kernel.hpp"

namespace cosoc {

using KernelResult = Result<std::shared_ptr<const Kernel>>;

/// One entry of the table.
struct KernelMaker {
  std::string_view operation;
  KernelResult (*make)(const nlohmann::json& attributes);
};

}  // namespace cosoc
