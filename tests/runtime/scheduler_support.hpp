/// A scheduler over devices of the test, and kernels that tell what happened.
#pragma once

#include <catch2/catch.hpp>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "scheduler/scheduler.hpp"

namespace test {

/// A kernel that does what the test says.
class ActionKernel final : public cosoc::Kernel {
 public:
  explicit ActionKernel(std::function<cosoc::Status()> action) : action_(std::move(action)) {}
  std::string_view name() const override { return "action"; }
  cosoc::Status check(std::span<const cosoc::TensorType>, std::span<const cosoc::TensorType>) const override {
    return {};
  }
  cosoc::Status run(std::span<const cosoc::TensorView>, std::span<const cosoc::TensorView>) const override {
    return action_();
  }
  cosoc::Work work(std::span<const cosoc::TensorType>, std::span<const cosoc::TensorType>) const override { return {}; }
  nlohmann::json attributes() const override { return nlohmann::json::object(); }

 private:
  std::function<cosoc::Status()> action_;
};

inline cosoc::TaskTemplate make_task(
    std::string name, std::vector<cosoc::Time> costs,
    std::function<cosoc::Status()> action = [] { return cosoc::Status(); }) {
  const std::size_t cores = costs.size();
  return {.name = std::move(name),
          .kernel = std::make_shared<ActionKernel>(std::move(action)),
          .costs = cosoc::CostRow::make(std::move(costs), cores),
          .movement = {},
          .reason = {}};
}

enum class Clock { wall, simulated, model };

/// CPU cores, and what a scheduler needs besides.
class TestScheduler {
 public:
  TestScheduler(Clock clock, std::size_t cores, cosoc::Policy policy, cosoc::Trace* trace = nullptr) {
    for (std::size_t core = 0; core < cores; ++core) {
      devices_.push_back({.name = "cpu" + std::to_string(core), .kind = "cpu", .driver = nullptr});
    }
    if (clock == Clock::wall) {
      platform_ = cosoc::make_cpu_platform(4096);
    } else {
      cosoc::SoCDescription soc;
      soc.board = "sim";
      soc.clock_hz = 300000000;
      soc.memory_bytes = 4096;
      auto platform = cosoc::make_functional_platform(soc);
      if (!platform) FAIL(platform.error().message);
      platform_ = std::move(*platform);
    }
    const auto values = clock == Clock::model ? cosoc::Values::none : cosoc::Values::computed;
    scheduler_.emplace(cosoc::SchedulerOptions{.policy = std::move(policy), .values = values}, platform_, devices_,
                       trace);
  }
  TestScheduler(Clock clock, std::size_t cores, const std::string& policy = "EFT", cosoc::Trace* trace = nullptr)
      : TestScheduler(clock, cores, *cosoc::find_policy(policy), trace) {}

  cosoc::Scheduler& operator*() { return *scheduler_; }
  cosoc::Scheduler* operator->() { return &*scheduler_; }

  std::shared_ptr<const cosoc::Application> application(const std::string& name = "test", std::int32_t priority = 0,
                                                        double weight = 1.0) {
    return *scheduler_->add_application({name, priority, weight});
  }

 private:
  cosoc::AnyPlatform platform_;
  std::vector<cosoc::ComputeDevice> devices_;
  std::optional<cosoc::Scheduler> scheduler_;
};

}  // namespace test
