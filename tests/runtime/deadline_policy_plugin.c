/* A policy for the tests of deadlines: tasks that should have ended within an hour to the first device that may run them,
 * others to none. */
#include "cosoc/policy.h"

size_t cosoc_policy(uint64_t* state, const cosoc_policy_task* tasks, size_t task_count,
                    const cosoc_policy_device* devices, size_t device_count, cosoc_policy_assignment* assignments) {
  const int64_t hour_ns = 3600 * (int64_t)1000000000;
  size_t count = 0;
  (void)state;
  for (uint32_t task = 0; task < task_count; ++task) {
    if (tasks[task].latest_end_ns > hour_ns) continue;
    for (uint32_t device = 0; device < device_count; ++device) {
      if (!devices[device].usable || tasks[task].costs_ns[device] >= COSOC_IMPOSSIBLE) continue;
      assignments[count].task = task;
      assignments[count].device = device;
      assignments[count].order_ns = 0;
      assignments[count].expected_end_ns = devices[device].available_ns + tasks[task].costs_ns[device];
      ++count;
      break;
    }
  }
  return count;
}
