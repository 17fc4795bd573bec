/* One barrier waited for with the mutex of another held; two threads that wait for different counts of one barrier. */
#include <dash.h>

#include "files.h"

enum { length = 16 };

static dash_cmplx_flt_type a[length], b[length], results[8][length];
static pthread_cond_t shared_cond = PTHREAD_COND_INITIALIZER;
static pthread_mutex_t shared_mutex = PTHREAD_MUTEX_INITIALIZER;
static uint32_t shared_count;

static void submit(dash_cmplx_flt_type* out, cedr_barrier_t* barrier) {
  dash_cmplx_flt_type *pa = a, *pb = b;
  size_t n = length;
  zip_op_t operation = ZIP_ADD;
  DASH_ZIP_flt_nb(&pa, &pb, &out, &n, &operation, barrier);
}

static void* wait_for(void* argument) {
  const uint32_t count = *(const uint32_t*)argument;
  pthread_mutex_lock(&shared_mutex);
  while (shared_count < count) pthread_cond_wait(&shared_cond, &shared_mutex);
  pthread_mutex_unlock(&shared_mutex);
  return NULL;
}

int main(void) {
  for (int i = 0; i < length; ++i) a[i].re = (float)i, b[i].im = 1;
  pthread_cond_t cond[2] = {PTHREAD_COND_INITIALIZER, PTHREAD_COND_INITIALIZER};
  pthread_mutex_t mutex[2] = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_MUTEX_INITIALIZER};
  uint32_t count[2] = {0, 0};
  cedr_barrier_t barrier[2] = {{&cond[0], &mutex[0], &count[0]}, {&cond[1], &mutex[1], &count[1]}};
  pthread_mutex_lock(&mutex[0]);
  submit(results[0], &barrier[0]);
  submit(results[1], &barrier[1]);
  pthread_mutex_lock(&mutex[1]);
  while (count[1] != 1) pthread_cond_wait(&cond[1], &mutex[1]);
  pthread_mutex_unlock(&mutex[1]);
  while (count[0] != 1) pthread_cond_wait(&cond[0], &mutex[0]);
  pthread_mutex_unlock(&mutex[0]);

  cedr_barrier_t shared = {&shared_cond, &shared_mutex, &shared_count};
  pthread_t threads[2];
  uint32_t counts[2] = {3, 6};
  for (int i = 0; i < 2; ++i) check(pthread_create(&threads[i], NULL, wait_for, &counts[i]) == 0, "thread");
  for (int i = 2; i < 8; ++i) submit(results[i], &shared);
  for (int i = 0; i < 2; ++i) pthread_join(threads[i], NULL);
  for (int i = 0; i < 8; ++i) {
    for (int k = 0; k < length; ++k) check(results[i][k].re == (float)k && results[i][k].im == 1, "a sum");
  }

  /* A blocking call while the mutex of calls on their way is held. */
  count[0] = 0;
  pthread_mutex_lock(&mutex[0]);
  for (int i = 0; i < 8; ++i) submit(results[i], &barrier[0]);
  DASH_ZIP_flt(a, b, a, length, ZIP_SUB);
  while (count[0] != 8) pthread_cond_wait(&cond[0], &mutex[0]);
  pthread_mutex_unlock(&mutex[0]);
  check(a[3].re == 3 && a[3].im == -1, "a difference");
  puts("done");
  return 0;
}
