#include "scheduler/scheduler.hpp"

#include <chrono>

namespace cosoc {
namespace {

/// The note of a task that did not end well is the whole message.
Status status_of(const Task& task) { return task.outcome == Outcome::done ? Status() : failure(task.note); }

}  // namespace

Scheduler::Scheduler(SchedulerOptions options, AnyPlatform& platform, std::span<ComputeDevice> devices, Trace* trace,
                     CostModel* learned)
    : policy_(options.policy.name),
      is_static_(options.policy.is_static),
      values_(options.values),
      trace_(trace),
      dispatcher_(std::move(options.policy), options.seed, devices, trace, learned),
      orders_(*add_application({.name = "devices"})) {
  const auto settle = [this](Task* ended) { this->settle(ended); };
  if (auto* simulated = std::get_if<std::unique_ptr<SimulatedPlatform>>(&platform)) {
    executor_ = make_simulated_executor(**simulated, devices, dispatcher_, settle, values_, options.minimum_deadline);
  } else {
    executor_ = make_wall_clock_executor(*std::get<std::unique_ptr<WallClockPlatform>>(platform), devices, dispatcher_,
                                         settle, options.minimum_deadline);
    if (trace_ != nullptr) trace_->write_start(std::chrono::steady_clock::now().time_since_epoch() - now());
  }
}

Scheduler::~Scheduler() = default;

Result<std::shared_ptr<const Application>> Scheduler::add_application(const ApplicationOptions& options) {
  if (!(options.weight > 0.0)) {
    return failure("application " + options.name + ": the weight must be above 0, not " +
                   std::to_string(options.weight));
  }
  if (options.deadline <= Time{}) {
    return failure("application " + options.name + ": the deadline must be above 0, not " +
                   std::to_string(options.deadline.count()) + " ns");
  }
  const Application application{++last_application_, options.name,     options.priority,
                                options.weight,      options.deadline, options.arena};
  return std::make_shared<const Application>(application);
}

TaskHandle Scheduler::submit(TaskGroup& group, const TaskTemplate& what, std::span<const TensorView> inputs,
                             std::span<const TensorView> outputs, std::span<const TaskHandle> after,
                             Completion* completion) {
  Task& task = pool_.allocate();
  task.what = &what;
  task.inputs = inputs;
  task.outputs = outputs;
  task.group = &group;
  task.completion = completion;
  task.rank = what.costs->mean();
  task.after.assign(after.begin(), after.end());
  if (is_traced()) task.submitted = now();
  const TaskHandle handle{&task, task.id.load(std::memory_order_relaxed), &group};
  group.pending.fetch_add(1, std::memory_order_relaxed);
  executor_->submit(task, task);
  return handle;
}

void Scheduler::submit(TaskGroup& group, std::span<Task* const> roots, std::size_t count) {
  group.pending.fetch_add(static_cast<std::uint32_t>(count), std::memory_order_relaxed);
  Task* list = roots.front();
  list->next = nullptr;
  for (Task* root : roots.subspan(1)) {
    root->next = list;
    list = root;
  }
  executor_->submit(*list, *roots.front());
}

/// Only who holds the dispatcher changes costs.
void Scheduler::learn(const TaskTemplate& what, const LentCall& call) {
  TaskGroup group(orders_);
  Task& task = pool_.allocate();
  task.what = &what;
  task.group = &group;
  task.order_to_device = DeviceOrder::learn;
  task.planned_device = static_cast<std::uint32_t>(call.device);
  task.start = call.start;
  task.end = call.end;
  group.pending.store(1, std::memory_order_relaxed);
  executor_->submit(task, task);
  static_cast<void>(wait(group));
}

Status Scheduler::order(DeviceOrder order, std::size_t device) {
  TaskGroup group(orders_);
  Task& task = pool_.allocate();
  task.group = &group;
  task.order_to_device = order;
  task.planned_device = static_cast<std::uint32_t>(device);
  group.pending.store(1, std::memory_order_relaxed);
  executor_->submit(task, task);
  return wait(group);
}

const Status& Scheduler::wait(TaskGroup& group) {
  if (!group.ended()) executor_->wait(group);
  return group.status();
}

Status Scheduler::call(const std::shared_ptr<const Application>& application, const TaskTemplate& what,
                       std::span<const TensorView> inputs, std::span<const TensorView> outputs) {
  LentCall lent;
  if (what.costs->lendable()) {
    const bool learns = what.costs->samples_next();
    lent.timed = learns || is_traced();
    if (executor_->lend(what, inputs, outputs, lent)) {
      if (is_traced()) record(*application, what, lent);
      if (learns && lent.status) learn(what, lent);
      return std::move(lent.status);
    }
  }
  TaskGroup group(application);
  begin(group);
  submit(group, what, inputs, outputs);
  return wait(group);
}

/// A call that ran at once: it was submitted, ready and started at the same time.
void Scheduler::record(const Application& application, const TaskTemplate& what, const LentCall& call) {
  trace_->write(
      {.device = call.device,
       .id = trace_->next_id(),
       .next = {},
       .node = what.name,
       .operation = what.kernel->name(),
       .application = application.name,
       .submitted = call.start,
       .ready = call.start,
       .start = call.start,
       .end = call.end,
       .counters = {},
       .lent = true,
       .succeeded = call.status.has_value(),
       .reason = call.status ? std::string_view(what.reason) : std::string_view(call.status.error().message)});
}

/// The last step of tasks that have ended. A group may be gone as soon as its
/// last task is counted.
void Scheduler::settle(Task* ended) {
  Task* first_pooled = nullptr;
  Task* last_pooled = nullptr;
  TaskGroup* group = nullptr;
  std::uint32_t count = 0;
  const auto count_down = [&] {
    if (group == nullptr) return;
    if (group->pending.fetch_sub(count, std::memory_order_acq_rel) == count) group->pending.notify_all();
  };
  while (ended != nullptr) {
    Task& task = *ended;
    ended = task.next;
    if (task.unwritten) write(*trace_, task);
    if (task.completion != nullptr) task.completion->complete(task, status_of(task));
    if (task.group != group) {
      count_down();
      group = task.group;
      count = 0;
    }
    ++count;
    if (!task.pooled) continue;
    task.next = first_pooled;
    first_pooled = &task;
    if (last_pooled == nullptr) last_pooled = &task;
  }
  count_down();
  if (first_pooled != nullptr) pool_.release(*first_pooled, *last_pooled);
}

}  // namespace cosoc
