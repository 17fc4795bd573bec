/* Threads that the application made, each with blocking and non-blocking calls and a barrier of its own. */
#include <dash.h>

#include "files.h"

enum { threads = 6, rounds = 40, length = 32 };

static dash_cmplx_flt_type values[threads][length];

static void* work(void* argument) {
  dash_cmplx_flt_type* x = (dash_cmplx_flt_type*)argument;
  dash_cmplx_flt_type y[length];
  dash_cmplx_flt_type* py = y;
  pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
  pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
  for (int round = 0; round < rounds; ++round) {
    uint32_t count = 0;
    cedr_barrier_t barrier = {&cond, &mutex, &count};
    size_t n = length;
    bool forward = true, back = false;
    DASH_FFT_flt_nb(&x, &py, &n, &forward, &barrier);
    pthread_mutex_lock(&mutex);
    while (count < 1) pthread_cond_wait(&cond, &mutex);
    pthread_mutex_unlock(&mutex);
    DASH_FFT_flt(y, x, length, back);
    DASH_ZIP_flt(x, x, y, length, ZIP_ADD);
    DASH_ZIP_flt(y, x, x, length, ZIP_SUB);
  }
  return NULL;
}

int main(int argc, char** argv) {
  check(argc == 3, "threads input output");
  FILE* in = open_file(argv[1], "rb");
  check(fread(values, sizeof values, 1, in) == 1, "reading");
  pthread_t ids[threads];
  for (int i = 0; i < threads; ++i) check(pthread_create(&ids[i], NULL, work, values[i]) == 0, "thread");
  for (int i = 0; i < threads; ++i) pthread_join(ids[i], NULL);
  FILE* out = open_file(argv[2], "wb");
  give(out, values, 1, sizeof values);
  fclose(out);
  return 0;
}
