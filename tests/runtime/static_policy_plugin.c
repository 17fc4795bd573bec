/* A static policy for the tests of plug-ins: every task where and in the order in which its schedule has it; tasks
 * without a schedule wait for ever. */
#include "cosoc/policy.h"

int cosoc_policy_is_static(void) { return 1; }

size_t cosoc_policy(uint64_t* state, const cosoc_policy_task* tasks, size_t task_count,
                    const cosoc_policy_device* devices, size_t device_count, cosoc_policy_assignment* assignments) {
  (void)state, (void)devices, (void)device_count;
  size_t count = 0;
  for (uint32_t task = 0; task < task_count; ++task) {
    if (tasks[task].planned_device == COSOC_NO_DEVICE) continue;
    assignments[count].task = task;
    assignments[count].device = tasks[task].planned_device;
    assignments[count].order_ns = tasks[task].planned_start_ns;
    assignments[count].expected_end_ns = 0;
    ++count;
  }
  return count;
}
