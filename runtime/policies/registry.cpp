#include <algorithm>
#include <array>

#include "cosoc/session.hpp"
#include "policies/plugin.hpp"
#include "policies/policy.hpp"

namespace cosoc {
namespace {

struct Entry {
  std::string_view name;
  void (*decide)(const Round&, PolicyState&, std::vector<Assignment>&);
  bool is_static = false;
};

constexpr std::array<Entry, 9> policies = {{
    {"RR", round_robin},
    {"RANDOM", random_device},
    {"MET", minimum_execution_time},
    {"EFT", earliest_finish_time},
    {"ETF", earliest_task_first},
    {"HEFT_RT", heft_rt},
    {"HEFT", heft, true},
    {"ENERGY", minimum_energy},
    {"FAIR", fair_share},
}};

}  // namespace

std::vector<std::string_view> policy_names() {
  std::vector<std::string_view> names;
  for (const Entry& policy : policies) names.push_back(policy.name);
  return names;
}

Result<Policy> find_policy(const std::string& name) {
  if (is_policy_path(name)) return load_policy(name);
  const auto found = std::ranges::find(policies, name, &Entry::name);
  if (found != policies.end()) return Policy{name, found->decide, found->is_static};
  std::string known;
  for (const Entry& policy : policies) known += (known.empty() ? "" : ", ") + std::string(policy.name);
  return failure("no scheduling policy \"" + name + "\"; there are " + known +
                 ", or give the path of a shared object with one");
}

}  // namespace cosoc
