/* An application of several translation units, in C and C++. */
#include <dash.h>

#include "files.h"

void square(dash_cmplx_flt_type* values, size_t count);
void spectrum(dash_cmplx_flt_type* values, size_t count);

int main(int argc, char** argv) {
  check(argc == 4, "units input output count");
  const size_t n = (size_t)atol(argv[3]);
  FILE* in = open_file(argv[1], "rb");
  dash_cmplx_flt_type* x = (dash_cmplx_flt_type*)take(in, n, sizeof *x);
  square(x, n);
  spectrum(x, n);
  FILE* out = open_file(argv[2], "wb");
  give(out, x, n, sizeof *x);
  fclose(out);
  return 0;
}
