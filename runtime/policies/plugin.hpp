/// Policies from shared objects, see cosoc/policy.h.
#pragma once

#include "policies/policy.hpp"

namespace cosoc {

/// Loads a shared object; the policy keeps it in memory. Errors say what is wrong with the file.
Result<Policy> load_policy(const std::string& path);

}  // namespace cosoc
