/* A radar correlator as CEDR's: the lag of an echo, by two transforms at a time, a product and an inverse. */
#include <dash.h>
#include <math.h>

#include "files.h"

int main(int argc, char** argv) {
  check(argc == 4, "correlator input output length");
  size_t n = (size_t)atol(argv[3]);
  FILE* in = open_file(argv[1], "rb");
  dash_cmplx_flt_type* sent = (dash_cmplx_flt_type*)take(in, n, sizeof *sent);
  dash_cmplx_flt_type* echo = (dash_cmplx_flt_type*)take(in, n, sizeof *echo);
  dash_cmplx_flt_type* a = (dash_cmplx_flt_type*)malloc(n * sizeof *a);
  dash_cmplx_flt_type* b = (dash_cmplx_flt_type*)malloc(n * sizeof *b);
  {
    bool forward = true;
    pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
    pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
    uint32_t count = 0;
    cedr_barrier_t barrier = {.cond = &cond, .mutex = &mutex, .completion_ctr = &count};
    pthread_mutex_lock(&mutex);
    DASH_FFT_flt_nb(&sent, &a, &n, &forward, &barrier);
    DASH_FFT_flt_nb(&echo, &b, &n, &forward, &barrier);
    while (count != 2) pthread_cond_wait(&cond, &mutex);
    pthread_mutex_unlock(&mutex);
  }
  for (size_t i = 0; i < n; ++i) a[i].im = -a[i].im;
  DASH_ZIP_flt(a, b, a, n, ZIP_MULT);
  DASH_FFT_flt(a, b, n, false);
  size_t best = 0;
  for (size_t i = 1; i < n; ++i) {
    if (hypotf(b[i].re, b[i].im) > hypotf(b[best].re, b[best].im)) best = i;
  }
  FILE* out = open_file(argv[2], "w");
  fprintf(out, "%zu\n", best);
  fclose(out);
  return 0;
}
