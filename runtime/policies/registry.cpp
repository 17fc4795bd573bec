#include <algorithm>
#include <utility>

#include "cosoc/session.hpp"
#include "policies/plugin.hpp"
#include "policies/policy.hpp"

namespace cosoc {
namespace {

/// The newest; before any constructor has run there is none. Files register in whatever order they are linked.
constinit const RegisteredPolicy* newest = nullptr;

}  // namespace

RegisteredPolicy::RegisteredPolicy(const char* name, Function decide, bool is_static) noexcept
    : name_(name), decide_(decide), is_static_(is_static), next_(std::exchange(newest, this)) {}

/// By name.
std::vector<const RegisteredPolicy*> registered_policies() {
  std::vector<const RegisteredPolicy*> policies;
  for (const RegisteredPolicy* policy = newest; policy != nullptr; policy = policy->next_) policies.push_back(policy);
  std::ranges::sort(policies, {}, [](const RegisteredPolicy* policy) { return std::string_view(policy->name_); });
  return policies;
}

std::vector<std::string_view> policy_names() {
  std::vector<std::string_view> names;
  for (const RegisteredPolicy* policy : registered_policies()) names.emplace_back(policy->name_);
  return names;
}

Result<Policy> find_policy(const std::string& name) {
  if (is_policy_path(name)) return load_policy(name);
  std::string known;
  for (const RegisteredPolicy* policy : registered_policies()) {
    if (name == policy->name_) return Policy{name, policy->decide_, policy->is_static_};
    known += (known.empty() ? "" : ", ") + std::string(policy->name_);
  }
  return failure("no scheduling policy \"" + name + "\"; there are " + known +
                 ", or give the path of a shared object with one");
}

}  // namespace cosoc
