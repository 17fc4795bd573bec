#include "scheduler/task.hpp"

#include <algorithm>

namespace cosoc {
namespace {

/// Longer calls would make the policies' estimates of a lent core wrong.
constexpr Time longest_lending = std::chrono::milliseconds(1);

}  // namespace

std::shared_ptr<const CostRow> CostRow::make(std::vector<Time> costs, std::size_t cpu_cores) {
  auto row = std::make_shared<CostRow>();
  row->cpu.assign(costs.size(), impossible);
  std::copy_n(costs.begin(), cpu_cores, row->cpu.begin());
  Time total{};
  std::int64_t count = 0;
  Time least = impossible;
  for (std::size_t device = 0; device < costs.size(); ++device) {
    if (costs[device] >= impossible) continue;
    total += costs[device];
    ++count;
    least = std::min(least, costs[device]);
    if (device < cpu_cores) row->least_cpu = std::min(row->least_cpu, costs[device]);
  }
  row->mean = count == 0 ? Time{} : total / count;
  row->lendable = row->least_cpu <= longest_lending && row->least_cpu == least;
  row->all = std::move(costs);
  return row;
}

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
