#include "session/session_state.hpp"

#include <algorithm>
#include <array>
#include <cstdio>
#include <system_error>

#include "cost/power.hpp"

namespace cosoc {
namespace {

constexpr Time simulated_deadline = std::chrono::milliseconds(10);
/// Also enough for emulated boards, where the wall clock runs ahead of the hardware.
constexpr Time wall_clock_deadline = std::chrono::seconds(2);

/// Behind ports that look into the caches of the CPU.
bool is_coherent(const AcceleratorDescription& accelerator) {
  return std::ranges::all_of(accelerator.memory_ports, [](const std::string& port) { return port.starts_with("HPC"); });
}

std::string cost_class(const AcceleratorDescription& accelerator) {
  std::array<char, 16> hash{};
  std::snprintf(hash.data(), hash.size(), "-%08x", accelerator.config_hash);
  return accelerator.kind + hash.data();
}

}  // namespace

Result<std::shared_ptr<SessionState>> SessionState::make(const SessionOptions& options, const SoCDescription& soc,
                                                         AnyPlatform platform) {
  auto policy = find_policy(options.policy);
  if (!policy) return tl::make_unexpected(policy.error());
  std::shared_ptr<SessionState> state(new SessionState(options, soc, std::move(platform)));
  if (auto opened = state->open_devices(); !opened) return tl::make_unexpected(opened.error());
  if (auto loaded = state->load_costs(); !loaded) return tl::make_unexpected(loaded.error());
  if (!options.trace.empty()) {
    TraceHeader header{.devices = {}, .policy = policy->name, .simulated = state->is_simulated()};
    for (const ComputeDevice& device : state->devices_) {
      header.devices.push_back(device.name);
      if (!device.is_cpu()) device.driver->count_traffic(true);
    }
    auto trace = Trace::open(options.trace, std::move(header));
    if (!trace) return tl::make_unexpected(trace.error());
    state->trace_ = std::move(*trace);
  }
  state->make_scheduler(std::move(*policy));
  return state;
}

SessionState::~SessionState() {
  scheduler_.reset();  // nothing is learned any more
  if (!is_simulated() && costs_.changed()) static_cast<void>(save_costs());
}

Status SessionState::load_costs() {
  std::error_code unused;
  if (options_.costs.empty() || !std::filesystem::exists(options_.costs, unused)) return {};
  return costs_.load(options_.costs, costs_board());
}

Status SessionState::save_costs() {
  return options_.costs.empty() ? Status() : costs_.save(options_.costs, costs_board());
}

Result<std::size_t> SessionState::find_device(const std::string& name) const {
  const auto found = std::ranges::find(devices_, name, &ComputeDevice::name);
  if (found != devices_.end()) return static_cast<std::size_t>(found - devices_.begin());
  std::string names;
  for (const ComputeDevice& device : devices_) names += (names.empty() ? "" : ", ") + device.name;
  return failure("there is no device " + name + "; there are " + names);
}

std::size_t SessionState::peak_memory_bytes() {
  const auto lock = scheduler_->lock_drivers();
  return platform().memory().peak_bytes();
}

Platform& SessionState::platform() {
  return std::visit([](auto& platform) -> Platform& { return *platform; }, platform_);
}

Status SessionState::open_devices() {
  for (std::uint32_t core = 0; core < soc_.cpu_cores; ++core) {
    devices_.push_back({.name = "cpu" + std::to_string(core), .kind = "cpu", .driver = nullptr, .watts = power("cpu")});
  }
  for (std::size_t i = 0; i < soc_.accelerators.size(); ++i) {
    const AcceleratorDescription& accelerator = soc_.accelerators[i];
    auto driver = make_driver(accelerator.kind, platform().accelerator(i), platform().memory());
    if (!driver) return failure(accelerator.name + ": " + driver.error().message);
    devices_.push_back({.name = accelerator.name,
                        .kind = accelerator.kind,
                        .driver = std::move(*driver),
                        .cost_class = cost_class(accelerator),
                        .accelerator = i,
                        .watts = power(accelerator.kind),
                        .domain = options_.mode == Mode::board && !is_coherent(accelerator) ? 1U : 0U});
  }
  if (devices_.empty())
    return failure("there is no device: no CPU core and no accelerator; give at least one CPU core");
  return {};
}

void SessionState::make_scheduler(Policy policy) {
  scheduler_ = std::make_unique<Scheduler>(
      SchedulerOptions{.policy = std::move(policy),
                       .seed = options_.seed,
                       .values = options_.mode == Mode::model ? Values::none : Values::computed,
                       .minimum_deadline = options_.minimum_deadline.value_or(is_simulated() ? simulated_deadline
                                                                                             : wall_clock_deadline)},
      platform_, devices_, trace_.get(), is_simulated() ? nullptr : &costs_);
}

Status SessionState::finish_trace() { return trace_ ? trace_->finish() : Status(); }

}  // namespace cosoc
