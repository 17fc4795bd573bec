#include "dash.h"

void square(dash_cmplx_flt_type* values, size_t count) { DASH_ZIP_flt(values, values, values, count, ZIP_CMP_MULT); }
