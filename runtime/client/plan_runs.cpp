#include "client/plan_runs.hpp"

#include <algorithm>

namespace cosoc {
namespace {

/// A task that only marks an end; any device may have it.
TaskTemplate make_end(const SessionState& session) {
  std::vector<Time> costs(session.devices().size(), Time{1});
  const auto cores = static_cast<std::size_t>(std::ranges::count_if(session.devices(), &ComputeDevice::is_cpu));
  for (std::size_t device = cores; device < costs.size(); ++device) costs[device] = impossible;
  const auto nothing = [](auto, auto) { return Status(); };
  return {.name = "end",
          .kernel = make_user_kernel("end", nothing, 0),
          .costs = CostRow::make(std::move(costs), cores),
          .movement = {},
          .reason = {}};
}

}  // namespace

PlanRuns::PlanRuns(const Plan& plan, std::shared_ptr<SessionState> session,
                   std::shared_ptr<const Application> application)
    : plan_(plan), runs_(std::move(session), std::move(application)), end_(make_end(*runs_.session)) {}

std::shared_ptr<PlanRuns::Entry> PlanRuns::free_run() {
  // Who let go of it did so after its end.
  const auto unused = [](const std::shared_ptr<Entry>& entry) {
    return !entry->in_use.load(std::memory_order_acquire);
  };
  const auto found = std::ranges::find_if(all_, unused);
  if (found != all_.end()) return *found;
  return all_.emplace_back(std::make_shared<Entry>(plan_, runs_));
}

Future PlanRuns::refuse(const Error& why) const {
  auto pending = std::make_shared<PendingCall>(runs_.session, runs_.application);
  pending->refuse(why);
  return Future(std::move(pending));
}

Future PlanRuns::submit(RunRequest request) {
  Scheduler& scheduler = runs_.session->scheduler();
  auto pending = std::make_shared<PendingCall>(runs_.session, runs_.application);
  const std::lock_guard lock(mutex_);
  if (!pending->follow(request.after)) return Future(std::move(pending));
  // Runs share the memory of the plan.
  pending->before.insert(pending->before.end(), last_tasks_.begin(), last_tasks_.end());
  last_run_ = free_run();
  last_run_->in_use.store(true, std::memory_order_relaxed);
  pending->holds = std::move(request.holds);
  const auto release = [entry = last_run_](const void*) { entry->in_use.store(false, std::memory_order_release); };
  pending->holds.emplace_back(last_run_.get(), release);
  TaskGroup& group = pending->group;
  scheduler.begin(group);

  for (const auto& copies : {request.first, request.last}) {
    for (const TensorCopy& copy : copies) {
      pending->inputs.push_back(copy.from);
      pending->outputs.push_back(copy.to);
    }
  }
  const std::span<const TensorView> from = pending->inputs;
  const std::span<const TensorView> to = pending->outputs;
  std::vector<TaskHandle> ready;
  std::size_t place = 0;
  for (const TensorCopy& copy : request.first) {
    ready.push_back(scheduler.submit(group, *copy.what, from.subspan(place, 1), to.subspan(place, 1), pending->before));
    ++place;
  }
  const auto computed = last_run_->run.start_in(group, ready.empty() ? pending->before : ready);
  for (const TensorCopy& copy : request.last) {
    pending->last.push_back(
        scheduler.submit(group, *copy.what, from.subspan(place, 1), to.subspan(place, 1), computed));
    ++place;
  }
  if (pending->last.empty()) pending->last = {scheduler.submit(group, end_, {}, {}, computed)};
  last_tasks_ = pending->last;
  for (TaskHandle& task : last_tasks_) task.only_order = true;
  runs_.keep(pending);
  return Future(std::move(pending));
}

}  // namespace cosoc
