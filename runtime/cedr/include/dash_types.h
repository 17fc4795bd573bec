/*
 * The types of CEDR's calls, see dash.h. Names and layout are CEDR's, so that programs written for it compile.
 */
#ifndef COSOC_DASH_TYPES_H
#define COSOC_DASH_TYPES_H

#include <pthread.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef short dash_re_int_type;
typedef float dash_re_flt_type;

/* The imaginary part comes first. */
typedef struct dash_cmplx_int_type {
  dash_re_int_type im;
  dash_re_int_type re;
} dash_cmplx_int_type;

typedef struct dash_cmplx_flt_type {
  dash_re_flt_type re;
  dash_re_flt_type im;
} dash_cmplx_flt_type;

typedef enum zip_op {
  ZIP_ADD = 0,
  ZIP_SUB = 1,
  ZIP_MULT = 2,    /* complex product */
  ZIP_DIV = 3,     /* complex quotient */
  ZIP_CMP_MULT = 4 /* complex product */
} zip_op_t;

/* What a non-blocking call tells its end: under the mutex the counter grows by one, and the condition is signalled. */
typedef struct cedr_barrier {
  pthread_cond_t* cond;
  pthread_mutex_t* mutex;
  uint32_t* completion_ctr;
} cedr_barrier_t;

#ifdef __cplusplus
}
#endif
#endif
