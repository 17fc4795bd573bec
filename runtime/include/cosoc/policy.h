/*
 * Scheduling policies of your own: a shared object with the function `cosoc_policy`, and perhaps
 * `cosoc_policy_is_static`, given where the name of a policy stands (`--policy ./my_policy.so`).
 *
 * Times are nanoseconds. The function shall depend on its arguments alone, so that schedules can be repeated.
 */
#ifndef COSOC_POLICY_H
#define COSOC_POLICY_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A cost of at least this: the task may not run there. Two of them add up without overflow. */
#define COSOC_IMPOSSIBLE (INT64_MAX / 4)
#define COSOC_NO_DEVICE UINT32_MAX

/* A task whose inputs are made. */
typedef struct {
  const int64_t* costs_ns;  /* expected time by device */
  int64_t rank_ns;          /* expected time from its start to the end of its graph, along the longest path */
  int64_t latest_end_ns;    /* to meet its application's deadline; COSOC_IMPOSSIBLE without one */
  int64_t movement_ns;      /* what it takes longer on devices of another domain than its own */
  int64_t planned_start_ns; /* in the static schedule of its graph */
  uint64_t application;     /* who submitted it */
  double weight;            /* the application's share */
  uint32_t domain;          /* of devices that have its inputs at hand */
  uint32_t planned_device;  /* in the static schedule; COSOC_NO_DEVICE without one */
} cosoc_policy_task;

typedef struct {
  int64_t available_ns;     /* when everything assigned so far is expected to end */
  int64_t running_order_ns; /* order_ns of what it runs, or ran last when more waits; else COSOC_IMPOSSIBLE */
  double watts;             /* estimate, while it works */
  uint32_t domain;
  uint32_t usable; /* 0: it failed and gets no more work */
} cosoc_policy_device;

typedef struct {
  int64_t expected_end_ns; /* for traces */
  int64_t order_ns;        /* a device takes tasks of smaller order first, equal ones as they were assigned */
  uint32_t task;           /* index of the task */
  uint32_t device;
} cosoc_policy_assignment;

/* Fills at most one assignment for each task, and returns how many. Tasks are in the order in which they became ready.
 * `state` is kept from one call to the next, 8 words that are 0 at first. Tasks that are left out are offered again;
 * a task assigned twice, or to a device that is not usable or cannot run it, ends the run of its application. */
size_t cosoc_policy(uint64_t* state, const cosoc_policy_task* tasks, size_t task_count,
                    const cosoc_policy_device* devices, size_t device_count, cosoc_policy_assignment* assignments);

/* May be absent. Unless it returns 0, models and graphs of tasks are scheduled by HEFT before they run, and their tasks
 * have a planned_device and planned_start_ns; without it, none has. Asked once. */
int cosoc_policy_is_static(void);

#ifdef __cplusplus
}
#endif
#endif
