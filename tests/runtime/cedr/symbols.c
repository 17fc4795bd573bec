/* BPSK and QAM16. */
#include <dash.h>

#include "files.h"

int main(int argc, char** argv) {
  check(argc == 4, "symbols input output count");
  size_t n = (size_t)atol(argv[3]);
  FILE* in = open_file(argv[1], "rb");
  FILE* out = open_file(argv[2], "wb");
  dash_cmplx_flt_type* x = (dash_cmplx_flt_type*)take(in, n, sizeof *x);
  float* bits = (float*)malloc(n * sizeof *bits);
  int* points = (int*)malloc(n * sizeof *points);
  DASH_BPSK_flt(x, bits, n);
  give(out, bits, n, sizeof *bits);
  DASH_QAM16_flt(x, points, n);
  give(out, points, n, sizeof *points);
  fclose(out);
  return 0;
}
