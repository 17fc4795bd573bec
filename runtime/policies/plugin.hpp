/// Policies from shared objects, see cosoc/policy.h.
#pragma once

#include "policies/policy.hpp"

namespace cosoc {

/// Whether what stands in the place of a policy's name is the path of a shared object: it has a slash or ends in `.so`.
bool is_policy_path(const std::string& name);

/// Loads a shared object; the policy keeps it in memory. Errors say what is wrong with the file.
Result<Policy> load_policy(const std::string& path);

}  // namespace cosoc
