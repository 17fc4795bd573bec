// Products, sums, differences and transposes of matrices, blocking and not.
#include <dash.h>

#include <vector>

#include "files.h"

template <class T>
std::vector<T> take_vector(FILE* in, size_t count) {
  std::vector<T> values(count);
  check(fread(values.data(), sizeof(T), count, in) == count, "reading");
  return values;
}

template <class T>
void give_vector(FILE* out, const std::vector<T>& values) {
  give(out, values.data(), values.size(), sizeof(T));
}

int main(int argc, char** argv) {
  check(argc == 6, "matrices input output rows depth columns");
  size_t rows = atol(argv[3]), depth = atol(argv[4]), columns = atol(argv[5]);
  FILE* in = open_file(argv[1], "rb");
  FILE* out = open_file(argv[2], "wb");
  auto a = take_vector<dash_cmplx_flt_type>(in, rows * depth);
  auto b = take_vector<dash_cmplx_flt_type>(in, depth * columns);
  auto ai = take_vector<dash_cmplx_int_type>(in, rows * depth);
  auto bi = take_vector<dash_cmplx_int_type>(in, depth * columns);
  std::vector<dash_cmplx_flt_type> c(rows * columns), d(rows * depth);
  std::vector<dash_cmplx_int_type> ci(rows * columns), di(rows * depth);

  DASH_GEMM_flt(a.data(), b.data(), c.data(), rows, depth, columns);
  give_vector(out, c);
  DASH_GEMM_int(ai.data(), bi.data(), ci.data(), rows, depth, columns);
  give_vector(out, ci);
  for (bool conjugate : {false, true}) {
    DASH_BLAS_TRANSPOSE_flt(a.data(), d.data(), rows, depth, conjugate);
    give_vector(out, d);
    DASH_BLAS_TRANSPOSE_int(ai.data(), di.data(), rows, depth, conjugate);
    give_vector(out, di);
  }

  pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
  pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
  uint32_t count = 0;
  cedr_barrier_t barrier = {&cond, &mutex, &count};
  std::vector<dash_cmplx_flt_type> sum(rows * depth), difference(rows * depth);
  std::vector<dash_cmplx_int_type> sum_int(rows * depth), difference_int(rows * depth);
  dash_cmplx_flt_type *pa = a.data(), *ps = sum.data(), *pd = difference.data();
  dash_cmplx_int_type *pai = ai.data(), *psi = sum_int.data(), *pdi = difference_int.data();
  dash_cmplx_flt_type* pb = d.data();
  dash_cmplx_int_type* pbi = di.data();
  pthread_mutex_lock(barrier.mutex);
  DASH_BLAS_MADD_flt_nb(&pa, &pb, &ps, &rows, &depth, &barrier);
  DASH_BLAS_MSUB_flt_nb(&pa, &pb, &pd, &rows, &depth, &barrier);
  DASH_BLAS_MADD_int_nb(&pai, &pbi, &psi, &rows, &depth, &barrier);
  DASH_BLAS_MSUB_int_nb(&pai, &pbi, &pdi, &rows, &depth, &barrier);
  while (count != 4) pthread_cond_wait(barrier.cond, barrier.mutex);
  pthread_mutex_unlock(barrier.mutex);
  give_vector(out, sum);
  give_vector(out, difference);
  give_vector(out, sum_int);
  give_vector(out, difference_int);
  fclose(out);
  return 0;
}
