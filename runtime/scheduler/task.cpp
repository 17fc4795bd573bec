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
  expected_end = start = end = {};
  counters = {};
  note.clear();
}

void TaskGroup::reset(Time deadline) {
  deadline_ = deadline;
  status_ = {};
}

void TaskGroup::fail(std::string message) {
  if (status_) status_ = failure(std::move(message));
}

}  // namespace cosoc
