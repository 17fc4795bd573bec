/* An image with a mask, and a signal with taps, whose results are added to what is there. */
#include <dash.h>

#include "files.h"

int main(int argc, char** argv) {
  check(argc == 7, "convolutions input output height width mask taps");
  const int height = atoi(argv[3]), width = atoi(argv[4]), mask_size = atoi(argv[5]), taps = atoi(argv[6]);
  FILE* in = open_file(argv[1], "rb");
  FILE* out = open_file(argv[2], "wb");
  const size_t pixels = (size_t)height * (size_t)width;
  dash_re_int_type* image = (dash_re_int_type*)take(in, pixels, sizeof *image);
  dash_re_flt_type* mask = (dash_re_flt_type*)take(in, (size_t)mask_size * (size_t)mask_size, sizeof *mask);
  dash_re_flt_type* signal = (dash_re_flt_type*)take(in, (size_t)width, sizeof *signal);
  dash_re_flt_type* filter = (dash_re_flt_type*)take(in, (size_t)taps, sizeof *filter);
  dash_re_flt_type* sums = (dash_re_flt_type*)take(in, (size_t)width, sizeof *sums);
  dash_re_int_type* result = (dash_re_int_type*)malloc(pixels * sizeof *result);
  DASH_CONV_2D_int(image, height, width, mask, mask_size, result);
  give(out, result, pixels, sizeof *result);
  DASH_CONV_1D_flt(signal, width, filter, taps, sums);
  give(out, sums, (size_t)width, sizeof *sums);
  fclose(out);
  return 0;
}
