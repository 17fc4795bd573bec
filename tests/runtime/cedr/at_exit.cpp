// Calls while the process ends: from an exit handler, from a destructor of a static object, and one not waited for.
#include <dash.h>

#include <cstdio>
#include <cstdlib>

static dash_cmplx_flt_type x[8] = {{1, 0}};
static dash_cmplx_flt_type y[8];

static void sum_up(const char* when) {
  DASH_FFT_flt(x, y, 8, true);
  float sum = 0;
  for (const auto& value : y) sum += value.re;
  std::printf("%s %g\n", when, sum);
  std::fflush(stdout);
}

struct Last {
  ~Last() { sum_up("destructor"); }
};
static Last last;

int main() {
  std::atexit([] { sum_up("handler"); });
  sum_up("main");
  static dash_cmplx_flt_type z[4096];
  dash_cmplx_flt_type *in = z, *out = z;
  size_t n = 4096;
  bool forward = true;
  for (int i = 0; i < 50; ++i) DASH_FFT_flt_nb(&in, &out, &n, &forward, nullptr);
  std::exit(7);
}
