/// ETF: of all ready tasks and devices, again and again the pair that ends first (Hwang, Chow, Anger and Lee,
/// "Scheduling precedence graphs in systems with interprocessor communication times", SIAM J. Computing 1989, with ends
/// in place of starts because devices differ). Of equal ends the task of higher rank, then the one that became ready
/// first, then the first device.
///
/// The textbook compares every remaining task with every device in every step. Here each device has its own list of
/// the tasks, shortest first: what ends first on it is always at the head, whatever it was given before. A step looks
/// at one task per device; time grows as that of sorting.
#include <numeric>

#include "policies/selection.hpp"
#include "policies/sorting.hpp"

namespace cosoc {
namespace {

/// The tasks that a device may run, shortest first, and how far it has come.
struct Queue {
  std::vector<std::uint64_t> costs;  // by task
  std::vector<std::uint32_t> order;
  std::size_t head = 0;
};

/// Indices of the tasks from the highest rank to the lowest.
std::vector<std::uint32_t> order_by_rank(std::span<const ReadyTask> tasks) {
  std::vector<std::uint64_t> keys;
  keys.reserve(tasks.size());
  for (const ReadyTask& task : tasks) keys.push_back(~static_cast<std::uint64_t>(task.rank.count()));
  std::vector<std::uint32_t> order(tasks.size());
  std::iota(order.begin(), order.end(), 0U);
  sort_by_key(keys, order);
  return order;
}

Queue make_queue(const Round& round, std::size_t device, std::span<const std::uint32_t> by_rank) {
  Queue queue;
  queue.costs.reserve(by_rank.size());
  for (const ReadyTask& task : round.tasks) {
    queue.costs.push_back(static_cast<std::uint64_t>(cost_on(task, round.devices[device], device).count()));
  }
  queue.order.reserve(by_rank.size());
  for (const std::uint32_t task : by_rank) {
    if (queue.costs[task] < static_cast<std::uint64_t>(impossible.count())) queue.order.push_back(task);
  }
  sort_by_key(queue.costs, queue.order);
  return queue;
}

void earliest_task_first(const Round& round, PolicyState&, std::vector<Assignment>& result) {
  const std::vector<std::uint32_t> by_rank = order_by_rank(round.tasks);
  std::vector<std::uint32_t> position(by_rank.size());
  for (std::uint32_t i = 0; i < by_rank.size(); ++i) position[by_rank[i]] = i;
  std::vector<Queue> queues(round.devices.size());
  for (std::size_t device = 0; device < queues.size(); ++device) {
    if (round.devices[device].usable) queues[device] = make_queue(round, device, by_rank);
  }

  std::vector<Time> free_at = free_times(round.devices);
  std::vector<bool> assigned(round.tasks.size());
  while (true) {
    Choice best;
    std::uint32_t chosen = 0;
    for (std::uint32_t device = 0; device < queues.size(); ++device) {
      Queue& queue = queues[device];
      while (queue.head < queue.order.size() && assigned[queue.order[queue.head]]) ++queue.head;
      if (queue.head == queue.order.size()) continue;
      const std::uint32_t task = queue.order[queue.head];
      const Time end = free_at[device] + Time(queue.costs[task]);
      if (end < best.end || (end == best.end && position[task] < position[chosen])) {
        best = {device, end};
        chosen = task;
      }
    }
    if (best.device == no_device) return;
    assigned[chosen] = true;
    free_at[best.device] = best.end;
    result.push_back({chosen, best.device, best.end, {}});
  }
}

const RegisteredPolicy registered("ETF", earliest_task_first);

}  // namespace

}  // namespace cosoc
