#include "scheduler/task.hpp"

namespace cosoc {
std::string Task::reason() const {
  std::string text = what->reason;
  if (!note.empty()) text += (text.empty() ? "" : "; ") + note;
  return text;
}

void Task::reset() {
  after.clear();
  waiting.clear();
  missing = 0;
  domain = 0;
  cpu_only = false;
  order_to_device = DeviceOrder::none;
  order = {};
  next = nullptr;
  device = no_device;
  ready_count = 0;
  outcome = Outcome::pending;
  number = 0;
  next_numbers.clear();
  unwritten = false;
  expected_end = start = end = {};
  counters = {};
  note.clear();
}

void write(Trace& trace, const Task& task) {
  trace.write({.device = task.device,
               .id = task.number,
               .next = task.next_numbers,
               .node = task.what->name,
               .operation = task.what->kernel->name(),
               .application = task.group->application().name,
               .submitted = task.submitted,
               .ready = task.ready,
               .start = task.start,
               .end = task.end,
               .counters = task.counters,
               .choices = task.ready_count,
               .queued = task.queued,
               .expected_end = task.expected_end,
               .succeeded = task.outcome == Outcome::done,
               .reason = task.reason()});
}

void TaskGroup::reset(Time deadline) {
  deadline_ = deadline;
  status_ = {};
}

void TaskGroup::fail(std::string message) {
  if (status_) status_ = failure(std::move(message));
}

}  // namespace cosoc
