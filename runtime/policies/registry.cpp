#include <algorithm>
#include <array>

#include "cosoc/session.hpp"
#include "policies/policy.hpp"

namespace cosoc {
namespace {

constexpr std::array<Policy, 3> policies = {{
    {"RR", round_robin},
    {"EFT", earliest_finish_time},
    {"HEFT_RT", heft_rt},
}};

}  // namespace

std::vector<std::string_view> policy_names() {
  std::vector<std::string_view> names;
  for (const Policy& policy : policies) names.push_back(policy.name);
  return names;
}

Result<Policy> find_policy(std::string_view name) {
  const auto found = std::ranges::find(policies, name, &Policy::name);
  if (found != policies.end()) return *found;
  std::string known;
  for (const Policy& policy : policies) known += (known.empty() ? "" : ", ") + std::string(policy.name);
  return failure("no scheduling policy \"" + std::string(name) + "\"; there are " + known);
}

}  // namespace cosoc
