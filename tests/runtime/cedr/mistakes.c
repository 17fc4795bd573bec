/* Calls that cannot be computed: each is reported, none stops the program or keeps a barrier waiting. */
#include <dash.h>

#include "files.h"

int main(void) {
  dash_cmplx_flt_type x[4] = {{1, 2}, {3, 4}, {5, 6}, {7, 8}};
  dash_cmplx_int_type xi[2] = {{.im = 1, .re = 1}, {.im = 0, .re = 0}};
  float signal[4] = {1, 2, 3, 4};
  DASH_FFT_flt(x, x, 0, true);
  DASH_FFT_flt(NULL, x, 4, true);
  DASH_CONV_1D_flt(signal, -4, signal, 3, signal);
  DASH_ZIP_flt(x, x, x, 4, (zip_op_t)9);
  DASH_ZIP_int(xi, xi, xi, 2, ZIP_DIV);
  check(xi[0].re == 1 && xi[0].im == 0 && xi[1].re == 0, "a quotient");
  pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
  pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
  uint32_t count = 0;
  cedr_barrier_t barrier = {&cond, &mutex, &count};
  dash_cmplx_flt_type *px = x, *nothing = NULL;
  size_t n = 4, zero = 0;
  bool forward = true;
  pthread_mutex_lock(&mutex);
  DASH_FFT_flt_nb(&px, &nothing, &n, &forward, &barrier);
  DASH_FFT_flt_nb(&px, &px, &zero, &forward, &barrier);
  DASH_FFT_flt_nb(&px, &px, &n, &forward, &barrier);
  while (count != 3) pthread_cond_wait(&cond, &mutex);
  pthread_mutex_unlock(&mutex);
  check(x[0].re == 16 && x[0].im == 20, "a transform");
  puts("done");
  return 0;
}
