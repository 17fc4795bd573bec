#include "policies/plugin.hpp"

#include <dlfcn.h>

#include <algorithm>
#include <filesystem>
#include <memory>

#include "cosoc/policy.h"

namespace cosoc {
namespace {

static_assert(sizeof(Time) == sizeof(std::int64_t), "costs are passed on as they lie in memory");
static_assert(impossible.count() == COSOC_IMPOSSIBLE && no_device == COSOC_NO_DEVICE);

using PluginFunction = decltype(&cosoc_policy);
using StaticFunction = decltype(&cosoc_policy_is_static);

/// The round as the plug-in sees it, and what it answers.
void call_plugin(PluginFunction decide, const Round& round, PolicyState& state, std::vector<Assignment>& result) {
  std::vector<cosoc_policy_task> tasks;
  tasks.reserve(round.tasks.size());
  for (const ReadyTask& task : round.tasks) {
    tasks.push_back({reinterpret_cast<const std::int64_t*>(task.costs), task.rank.count(), task.latest_end.count(),
                     task.movement.count(), task.planned_start.count(), task.application, task.weight, task.domain,
                     task.planned_device});
  }
  std::vector<cosoc_policy_device> devices;
  for (const DeviceState& device : round.devices) {
    devices.push_back({device.available_at.count(), device.running_order.count(), device.watts, device.domain,
                       device.usable ? 1U : 0U});
  }
  std::vector<cosoc_policy_assignment> answers(tasks.size());
  const std::size_t count =
      decide(state.words.data(), tasks.data(), tasks.size(), devices.data(), devices.size(), answers.data());
  for (const auto& answer : std::span(answers).first(std::min(count, answers.size()))) {
    result.push_back({answer.task, answer.device, Time(answer.expected_end_ns), Time(answer.order_ns)});
  }
}

}  // namespace

bool is_policy_path(const std::string& name) { return name.find('/') != std::string::npos || name.ends_with(".so"); }

Result<Policy> load_policy(const std::string& path) {
  // Without a slash, dlopen would search the system's folders.
  const std::string full = std::filesystem::absolute(path).string();
  const std::shared_ptr<void> library(dlopen(full.c_str(), RTLD_NOW | RTLD_LOCAL), [](void* handle) {
    if (handle != nullptr) dlclose(handle);
  });
  if (library == nullptr) return failure("cannot load the scheduling policy " + path + ": " + dlerror());
  const auto decide = reinterpret_cast<PluginFunction>(dlsym(library.get(), "cosoc_policy"));
  if (decide == nullptr)
    return failure("the scheduling policy " + path + " has no function cosoc_policy; see cosoc/policy.h");
  const auto is_static = reinterpret_cast<StaticFunction>(dlsym(library.get(), "cosoc_policy_is_static"));
  return Policy{std::filesystem::path(path).stem().string(),
                [library, decide](const Round& round, PolicyState& state, std::vector<Assignment>& result) {
                  call_plugin(decide, round, state, result);
                },
                is_static != nullptr && is_static() != 0};
}

}  // namespace cosoc
