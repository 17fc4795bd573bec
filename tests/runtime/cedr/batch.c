/* Many non-blocking transforms under one barrier, submitted with its mutex held or not. */
#include <dash.h>

#include "files.h"

int main(int argc, char** argv) {
  check(argc == 6, "batch input output length count held");
  size_t n = (size_t)atol(argv[3]);
  const uint32_t count = (uint32_t)atol(argv[4]);
  const int held = atoi(argv[5]);
  FILE* in = open_file(argv[1], "rb");
  FILE* out = open_file(argv[2], "wb");
  dash_cmplx_flt_type* x = (dash_cmplx_flt_type*)take(in, n * count, sizeof *x);
  dash_cmplx_flt_type* y = (dash_cmplx_flt_type*)malloc(n * count * sizeof *y);

  bool forward = true;
  pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
  pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
  uint32_t completion_ctr = 0;
  cedr_barrier_t barrier = {.cond = &cond, .mutex = &mutex, .completion_ctr = &completion_ctr};
  if (held) pthread_mutex_lock(barrier.mutex);
  for (uint32_t i = 0; i < count; i++) {
    dash_cmplx_flt_type* from = x + i * n;
    dash_cmplx_flt_type* to = y + i * n;
    DASH_FFT_flt_nb(&from, &to, &n, &forward, &barrier);
  }
  if (!held) pthread_mutex_lock(barrier.mutex);
  while (completion_ctr != count) {
    pthread_cond_wait(barrier.cond, barrier.mutex);
  }
  pthread_mutex_unlock(barrier.mutex);
  pthread_mutex_destroy(&mutex);
  pthread_cond_destroy(&cond);
  give(out, y, n * count, sizeof *y);
  fclose(out);
  return 0;
}
