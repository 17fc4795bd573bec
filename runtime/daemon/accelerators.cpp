#include "daemon/accelerators.hpp"

#include <algorithm>
#include <set>
#include <thread>

#include "cost/power.hpp"
#include "daemon/shared_page.hpp"
#include "daemon/stepped_platform.hpp"
#include "scheduler/plan.hpp"

namespace cosoc::daemon {
namespace {

/// Computing a model takes far longer than the hardware would, and the limit is of the wall clock.
constexpr Time model_deadline = std::chrono::seconds(60);
/// As a session's in one process.
constexpr Time board_deadline = std::chrono::seconds(2);

Result<std::unique_ptr<WallClockPlatform>> make_platform(Mode mode, const SoCDescription& soc) {
  if (mode == Mode::cpu) return make_cpu_platform(0);
  if (mode == Mode::functional) return make_concurrent_platform(soc);
  if (mode == Mode::board) return make_uio_platform(soc);
  auto simulated = make_rtl_platform(soc);
  if (!simulated) return tl::make_unexpected(simulated.error());
  return make_stepped_platform(std::move(*simulated));
}

Result<SoCDescription> find_soc(const AcceleratorOptions& options) {
  SoCDescription soc;
  if (options.mode == Mode::cpu) {
    soc.board = "none";
    soc.clock_hz = 1'000'000'000;
    soc.cpu_cores = std::max(1U, std::thread::hardware_concurrency());
  } else {
    if (options.soc.empty()) return failure("this mode needs the SoC: give --soc the directory of its build");
    auto loaded = SoCDescription::load(options.soc);
    if (!loaded) return loaded;
    soc = std::move(*loaded);
    // Cores that this machine has not would only wait for one another.
    soc.cpu_cores = std::min(soc.cpu_cores, std::max(1U, std::thread::hardware_concurrency()));
  }
  soc.cpu_cores = options.cpu_cores.value_or(soc.cpu_cores);
  if (soc.cpu_cores == 0 || soc.cpu_cores > max_cores) {
    return failure("a daemon lends 1.." + std::to_string(max_cores) + " CPU cores, not " +
                   std::to_string(soc.cpu_cores) + "; give --cores");
  }
  if (soc.accelerators.size() > max_accelerators) {
    return failure("a daemon has at most " + std::to_string(max_accelerators) + " accelerators, not " +
                   std::to_string(soc.accelerators.size()));
  }
  return soc;
}

}  // namespace

Result<std::unique_ptr<Accelerators>> Accelerators::open(const AcceleratorOptions& options) {
  if (options.mode == Mode::model) return failure("a daemon runs in mode cpu, functional, rtl or board");
  auto soc = find_soc(options);
  if (!soc) return tl::make_unexpected(soc.error());
  auto platform = make_platform(options.mode, *soc);
  if (!platform) return tl::make_unexpected(platform.error());
  return over(options, std::move(*soc), std::move(*platform),
              options.mode == Mode::board ? board_deadline : model_deadline);
}

Result<std::unique_ptr<Accelerators>> Accelerators::over(const AcceleratorOptions& options, SoCDescription soc,
                                                         std::unique_ptr<WallClockPlatform> platform,
                                                         Time minimum_deadline) {
  auto policy = find_policy(options.policy);
  if (!policy) return tl::make_unexpected(policy.error());
  std::unique_ptr<Accelerators> accelerators(new Accelerators(std::move(soc)));
  accelerators->platform_ = std::move(platform);
  accelerators->copies_ = options.mode == Mode::board;
  if (auto opened = accelerators->open_devices(); !opened) return tl::make_unexpected(opened.error());
  if (accelerators->devices_.empty()) return accelerators;
  if (!options.trace.empty()) {
    TraceHeader header{.devices = {}, .policy = policy->name, .simulated = false};
    for (const ComputeDevice& device : accelerators->devices_) {
      header.devices.push_back(device.name);
      device.driver->count_traffic(true);
    }
    auto trace = Trace::open(options.trace, std::move(header));
    if (!trace) return tl::make_unexpected(trace.error());
    accelerators->trace_ = std::move(*trace);
  }
  accelerators->scheduler_.emplace(SchedulerOptions{.policy = std::move(*policy), .minimum_deadline = minimum_deadline},
                                   accelerators->platform_, accelerators->devices_, accelerators->trace_.get());
  return accelerators;
}

Platform& Accelerators::platform() {
  return std::visit([](auto& platform) -> Platform& { return *platform; }, platform_);
}

Status Accelerators::open_devices() {
  for (std::size_t i = 0; i < soc_.accelerators.size(); ++i) {
    const AcceleratorDescription& accelerator = soc_.accelerators[i];
    auto driver = make_driver(accelerator.kind, platform().accelerator(i), platform().memory());
    if (!driver) return failure(accelerator.name + ": " + driver.error().message);
    devices_.push_back({.name = accelerator.name,
                        .kind = accelerator.kind,
                        .driver = std::move(*driver),
                        .accelerator = i,
                        .watts = power(accelerator.kind)});
  }
  return {};
}

Result<std::shared_ptr<const PreparedCall>> Accelerators::prepare(CheckedCall call) const {
  if (!scheduler_) return failure("there is no accelerator");
  CallDescription description{.name = std::string(call.kernel->name()),
                              .kernel = call.kernel,
                              .inputs = call.inputs,
                              .outputs = call.outputs,
                              .devices = {}};
  for (const ComputeDevice& device : devices_) {
    const auto& kinds = description.devices;
    if (std::ranges::find(kinds, device.kind) == kinds.end()) description.devices.push_back(device.kind);
  }
  auto what = make_template(description, devices_, soc_);
  if (!what) return failure("call " + description.name + " " + what.error().message);
  return std::make_shared<const PreparedCall>(PreparedCall{std::move(call), std::move(*what)});
}

Result<std::unique_ptr<Slot>> Accelerators::make_slot(std::uint64_t bytes) {
  if (!scheduler_) return Slot::make(bytes, nullptr);
  if (copies_) return Slot::make_outside(bytes);
  const auto lock = scheduler_->lock_drivers();
  return Slot::make(bytes, memory());
}

bool Accelerators::reclaim() {
  if (lost_.empty()) return false;
  const auto lock = scheduler_->lock_drivers();
  if (!all_at_rest()) return false;
  lost_.clear();
  return true;
}

bool Accelerators::all_at_rest() {
  if (scheduler_->quarantined().empty()) return true;
  return std::ranges::all_of(devices_, [this](ComputeDevice& device) {
    const auto failed = scheduler_->quarantined();
    const auto mine = [&](const std::string& text) { return text.starts_with(device.name + ":"); };
    return std::ranges::none_of(failed, mine) || device.driver->reset();
  });
}

void Accelerators::end_slot(std::unique_ptr<Slot> slot) {
  if (!scheduler_ || slot->arena() == nullptr) return;
  const auto lock = scheduler_->lock_drivers();
  for (const ComputeDevice& device : devices_) device.driver->forget(*slot->arena());
  if (all_at_rest()) {
    slot.reset();
  } else {
    lost_.push_back(std::move(slot));
  }
}

}  // namespace cosoc::daemon
