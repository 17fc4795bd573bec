/* Blocking transforms of any length, there and back, float and int; in place; and into an overlapping array. */
#include <dash.h>
#include <string.h>

#include "files.h"

int main(int argc, char** argv) {
  check(argc == 4, "fft input output length");
  const size_t n = (size_t)atol(argv[3]);
  FILE* in = open_file(argv[1], "rb");
  FILE* out = open_file(argv[2], "wb");
  dash_cmplx_flt_type* x = (dash_cmplx_flt_type*)take(in, n, sizeof *x);
  dash_cmplx_int_type* xi = (dash_cmplx_int_type*)take(in, n, sizeof *xi);
  dash_cmplx_flt_type* y = (dash_cmplx_flt_type*)malloc(2 * n * sizeof *y);
  dash_cmplx_int_type* yi = (dash_cmplx_int_type*)malloc(n * sizeof *yi);

  DASH_FFT_flt(x, y, n, true);
  give(out, y, n, sizeof *y);
  DASH_FFT_flt(y, y, n, false);
  give(out, y, n, sizeof *y);
  DASH_FFT_int(xi, yi, n, true);
  give(out, yi, n, sizeof *yi);
  DASH_FFT_int(xi, yi, n, false);
  give(out, yi, n, sizeof *yi);
  memcpy(y, x, n * sizeof *y);
  DASH_FFT_flt(y, y + n / 2, n, true);
  give(out, y + n / 2, n, sizeof *y);
  fclose(out);
  return 0;
}
