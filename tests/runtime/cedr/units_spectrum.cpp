#include <vector>

#include "dash.h"

extern "C" void spectrum(dash_cmplx_flt_type* values, size_t count) {
  std::vector<dash_cmplx_flt_type> copy(values, values + count);
  DASH_FFT_flt(copy.data(), values, count, true);
}
