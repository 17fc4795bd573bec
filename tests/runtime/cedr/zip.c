/* Every operation of ZIP, float and int; the last two in place. */
#include <dash.h>

#include "files.h"

int main(int argc, char** argv) {
  check(argc == 4, "zip input output count");
  size_t n = (size_t)atol(argv[3]);
  FILE* in = open_file(argv[1], "rb");
  FILE* out = open_file(argv[2], "wb");
  dash_cmplx_flt_type* a = (dash_cmplx_flt_type*)take(in, n, sizeof *a);
  dash_cmplx_flt_type* b = (dash_cmplx_flt_type*)take(in, n, sizeof *b);
  dash_cmplx_int_type* ai = (dash_cmplx_int_type*)take(in, n, sizeof *ai);
  dash_cmplx_int_type* bi = (dash_cmplx_int_type*)take(in, n, sizeof *bi);
  dash_cmplx_flt_type* c = (dash_cmplx_flt_type*)malloc(n * sizeof *c);
  dash_cmplx_int_type* ci = (dash_cmplx_int_type*)malloc(n * sizeof *ci);
  const zip_op_t operations[] = {ZIP_ADD, ZIP_SUB, ZIP_MULT, ZIP_DIV, ZIP_CMP_MULT};
  for (int i = 0; i < 5; ++i) {
    DASH_ZIP_flt(a, b, c, n, operations[i]);
    give(out, c, n, sizeof *c);
    DASH_ZIP_int(ai, bi, ci, n, operations[i]);
    give(out, ci, n, sizeof *ci);
  }
  DASH_ZIP_flt(a, b, a, n, ZIP_MULT);
  give(out, a, n, sizeof *a);
  DASH_ZIP_int(ai, bi, bi, n, ZIP_SUB);
  give(out, bi, n, sizeof *bi);
  fclose(out);
  return 0;
}
