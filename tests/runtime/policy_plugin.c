/* A policy for the tests of plug-ins: every task to the last device that may run it; orders count the rounds. */
#include "cosoc/policy.h"

size_t cosoc_policy(uint64_t* state, const cosoc_policy_task* tasks, size_t task_count,
                    const cosoc_policy_device* devices, size_t device_count, cosoc_policy_assignment* assignments) {
  size_t count = 0;
  int64_t added[64] = {0};
  ++state[0];
  for (uint32_t task = 0; task < task_count; ++task) {
    for (uint32_t device = (uint32_t)device_count; device-- > 0;) {
      const int64_t cost = tasks[task].costs_ns[device];
      if (!devices[device].usable || cost >= COSOC_IMPOSSIBLE) continue;
      added[device] += cost;
      assignments[count].task = task;
      assignments[count].device = device;
      assignments[count].order_ns = (int64_t)state[0];
      assignments[count].expected_end_ns = devices[device].available_ns + added[device];
      ++count;
      break;
    }
  }
  return count;
}
