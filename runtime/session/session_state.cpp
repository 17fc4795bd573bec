#include "session/session_state.hpp"

namespace cosoc {
namespace {

constexpr Time simulated_deadline = std::chrono::milliseconds(10);
/// Also enough for emulated boards, where the wall clock runs ahead of the hardware.
constexpr Time wall_clock_deadline = std::chrono::seconds(2);

}  // namespace

Result<std::shared_ptr<SessionState>> SessionState::make(const SessionOptions& options, const SoCDescription& soc,
                                                         AnyPlatform platform) {
  const auto policy = find_policy(options.policy);
  if (!policy) return tl::make_unexpected(policy.error());
  std::shared_ptr<SessionState> state(new SessionState(options, soc, std::move(platform)));
  state->policy_ = *policy;
  if (auto opened = state->open_devices(); !opened) return tl::make_unexpected(opened.error());
  if (!options.trace.empty()) {
    std::vector<std::string> names;
    for (const ComputeDevice& device : state->devices_) names.push_back(device.name);
    auto trace = Trace::open(options.trace, names);
    if (!trace) return tl::make_unexpected(trace.error());
    state->trace_ = std::move(*trace);
  }
  state->make_executor();
  return state;
}

Platform& SessionState::platform() {
  return std::visit([](auto& platform) -> Platform& { return *platform; }, platform_);
}

Status SessionState::open_devices() {
  for (std::uint32_t core = 0; core < soc_.cpu_cores; ++core) {
    devices_.push_back({"cpu" + std::to_string(core), "cpu", nullptr, 0, {}});
  }
  for (std::size_t i = 0; i < soc_.accelerators.size(); ++i) {
    const AcceleratorDescription& accelerator = soc_.accelerators[i];
    auto driver = make_driver(accelerator.kind, platform().accelerator(i), platform().memory());
    if (!driver) return failure(accelerator.name + ": " + driver.error().message);
    devices_.push_back({accelerator.name, accelerator.kind, std::move(*driver), i, {}});
  }
  if (devices_.empty())
    return failure("there is no device: no CPU core and no accelerator; give at least one CPU core");
  return {};
}

void SessionState::make_executor() {
  if (auto* simulated = std::get_if<std::unique_ptr<SimulatedPlatform>>(&platform_)) {
    executor_ = make_simulated_executor(**simulated, devices_, options_.minimum_deadline.value_or(simulated_deadline));
  } else {
    auto& wall_clock = *std::get<std::unique_ptr<WallClockPlatform>>(platform_);
    executor_ = make_wall_clock_executor(wall_clock, devices_, options_.minimum_deadline.value_or(wall_clock_deadline));
  }
}

Status SessionState::run(const Plan& plan, RunReport& report) {
  Dispatcher dispatcher(plan, policy_, policy_state_, devices_, trace_.get(), executor_->now());
  executor_->run(dispatcher);
  report = dispatcher.take_report(executor_->now(), platform().memory());
  if (trace_) {
    if (auto finished = trace_->finish(); !finished) return finished;
  }
  return dispatcher.status();
}

}  // namespace cosoc
