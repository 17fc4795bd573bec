/* Every call beside its non-blocking twin, all of them on their way at once; arguments are others' as soon as a twin
 * returns. */
#include <dash.h>
#include <math.h>
#include <string.h>

#include "files.h"

enum { POINTS = 64, ROWS = 3, DEPTH = 5, COLUMNS = 4, HEIGHT = 6, WIDTH = 9, MASK = 3, TAPS = 5, CALLS = 16 };

static dash_cmplx_flt_type a[POINTS], b[POINTS];
static dash_cmplx_int_type ai[POINTS], bi[POINTS];
static dash_re_int_type image[HEIGHT * WIDTH];
static dash_re_flt_type mask[MASK * MASK], signal[WIDTH], filter[TAPS];

/* Arguments of the calls. */
static dash_cmplx_flt_type *pa, *pb;
static dash_cmplx_int_type *pai, *pbi;
static dash_re_int_type* pimage;
static dash_re_flt_type *pmask, *psignal, *pfilter;
static size_t points, rows, depth, columns;
static int height, width, mask_size, taps;
static bool yes;
static zip_op_t product, difference;

static void set(void) {
  pa = a, pb = b, pai = ai, pbi = bi, pimage = image, pmask = mask, psignal = signal, pfilter = filter;
  points = POINTS, rows = ROWS, depth = DEPTH, columns = COLUMNS;
  height = HEIGHT, width = WIDTH, mask_size = MASK, taps = TAPS;
  yes = true, product = ZIP_MULT, difference = ZIP_SUB;
}

static void spoil(void) {
  pa = pb = NULL, pai = pbi = NULL, pimage = NULL, pmask = psignal = pfilter = NULL;
  points = rows = depth = columns = 0;
  height = width = mask_size = taps = 0;
  yes = false, product = difference = ZIP_ADD;
}

static float draw(int limit) {
  static unsigned state = 1;
  state = state * 1103515245U + 12345U;
  return (float)((int)((state >> 16) % (2U * (unsigned)limit)) - limit);
}

static void fill(void) {
  for (int i = 0; i < POINTS; ++i) {
    a[i] = (dash_cmplx_flt_type){draw(1000) / 800, draw(1000) / 800};
    b[i] = (dash_cmplx_flt_type){draw(1000) / 800, draw(1000) / 800};
    ai[i] = (dash_cmplx_int_type){(short)draw(9000), (short)draw(9000)};
    bi[i] = (dash_cmplx_int_type){(short)draw(9), (short)draw(9)};
  }
  for (int i = 0; i < HEIGHT * WIDTH; ++i) image[i] = (short)draw(999);
  for (int i = 0; i < MASK * MASK; ++i) mask[i] = draw(1000) / 500;
  for (int i = 0; i < WIDTH; ++i) signal[i] = draw(1000) / 500;
  for (int i = 0; i < TAPS; ++i) filter[i] = draw(1000) / 500;
}

/* What a call and its twin gave: floats, shorts or integers. */
static struct {
  const char* name;
  char kind;
  void* results[2];
  size_t bytes;
} calls[CALLS];
static int started;

static void* make_result(const char* name, char kind, int twin, size_t bytes) {
  void* result = malloc(bytes);
  check(result != NULL, "memory");
  memset(result, 0x3f, bytes);
  calls[started].name = name;
  calls[started].kind = kind;
  calls[started].results[twin] = result;
  calls[started].bytes = bytes;
  return result;
}

#define BOTH(name, kind, type, size, blocking, twin)                    \
  do {                                                                  \
    type* out = (type*)make_result(#name, kind, 0, sizeof(type[size])); \
    set();                                                              \
    name blocking;                                                      \
    out = (type*)make_result(#name, kind, 1, sizeof(type[size]));       \
    set();                                                              \
    name##_nb twin;                                                     \
    spoil();                                                            \
    ++started;                                                          \
  } while (0)

static float number(char kind, const void* results, size_t index) {
  if (kind == 'f') return ((const float*)results)[index];
  return kind == 's' ? ((const short*)results)[index] : (float)((const int*)results)[index];
}

int main(void) {
  fill();
  pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
  pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
  uint32_t count = 0;
  cedr_barrier_t barrier = {&cond, &mutex, &count};
  cedr_barrier_t* end = &barrier;

  BOTH(DASH_ZIP_flt, 'f', dash_cmplx_flt_type, POINTS, (pa, pb, out, points, product),
       (&pa, &pb, &out, &points, &product, end));
  BOTH(DASH_ZIP_int, 's', dash_cmplx_int_type, POINTS, (pai, pbi, out, points, difference),
       (&pai, &pbi, &out, &points, &difference, end));
  BOTH(DASH_FFT_flt, 'f', dash_cmplx_flt_type, POINTS, (pa, out, points, yes), (&pa, &out, &points, &yes, end));
  BOTH(DASH_FFT_int, 's', dash_cmplx_int_type, POINTS, (pbi, out, points, yes), (&pbi, &out, &points, &yes, end));
  BOTH(DASH_GEMM_flt, 'f', dash_cmplx_flt_type, ROWS * COLUMNS, (pa, pb, out, rows, depth, columns),
       (&pa, &pb, &out, &rows, &depth, &columns, end));
  BOTH(DASH_GEMM_int, 's', dash_cmplx_int_type, ROWS * COLUMNS, (pai, pbi, out, rows, depth, columns),
       (&pai, &pbi, &out, &rows, &depth, &columns, end));
  BOTH(DASH_BLAS_MADD_flt, 'f', dash_cmplx_flt_type, ROWS * DEPTH, (pa, pb, out, rows, depth),
       (&pa, &pb, &out, &rows, &depth, end));
  BOTH(DASH_BLAS_MADD_int, 's', dash_cmplx_int_type, ROWS * DEPTH, (pai, pbi, out, rows, depth),
       (&pai, &pbi, &out, &rows, &depth, end));
  BOTH(DASH_BLAS_MSUB_flt, 'f', dash_cmplx_flt_type, ROWS * DEPTH, (pa, pb, out, rows, depth),
       (&pa, &pb, &out, &rows, &depth, end));
  BOTH(DASH_BLAS_MSUB_int, 's', dash_cmplx_int_type, ROWS * DEPTH, (pai, pbi, out, rows, depth),
       (&pai, &pbi, &out, &rows, &depth, end));
  BOTH(DASH_BLAS_TRANSPOSE_flt, 'f', dash_cmplx_flt_type, ROWS * DEPTH, (pa, out, rows, depth, yes),
       (&pa, &out, &rows, &depth, &yes, end));
  BOTH(DASH_BLAS_TRANSPOSE_int, 's', dash_cmplx_int_type, ROWS * DEPTH, (pai, out, rows, depth, yes),
       (&pai, &out, &rows, &depth, &yes, end));
  BOTH(DASH_BPSK_flt, 'f', dash_re_flt_type, POINTS, (pa, out, points), (&pa, &out, &points, end));
  BOTH(DASH_QAM16_flt, 'i', int, POINTS, (pa, out, points), (&pa, &out, &points, end));
  BOTH(DASH_CONV_2D_int, 's', dash_re_int_type, HEIGHT * WIDTH, (pimage, height, width, pmask, mask_size, out),
       (&pimage, &height, &width, &pmask, &mask_size, &out, end));
  BOTH(DASH_CONV_1D_flt, 'f', dash_re_flt_type, WIDTH, (psignal, width, pfilter, taps, out),
       (&psignal, &width, &pfilter, &taps, &out, end));

  pthread_mutex_lock(&mutex);
  while (count != CALLS) pthread_cond_wait(&cond, &mutex);
  pthread_mutex_unlock(&mutex);
  check(started == CALLS, "every call");
  for (int call = 0; call < CALLS; ++call) {
    const char kind = calls[call].kind;
    const size_t numbers = calls[call].bytes / (kind == 's' ? 2 : 4);
    /* A transform may run on a core the one time and on an accelerator the other, which round differently. */
    const int rounds = strncmp(calls[call].name, "DASH_FFT", 8) == 0;
    const float bound = !rounds ? 0 : kind == 'f' ? 1e-5F : 1;
    int written = 0;
    for (size_t i = 0; i < numbers; ++i) {
      const float expected = number(kind, calls[call].results[0], i), found = number(kind, calls[call].results[1], i);
      check(fabsf(found - expected) <= bound, calls[call].name);
      written |= ((const unsigned char*)calls[call].results[1])[i] != 0x3f;
    }
    check(written, calls[call].name);
  }
  puts("done");
  return 0;
}
