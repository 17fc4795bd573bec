/*
 * The calls of CEDR, of which programs written for it are made; docs/cedr.md says what each computes and how a program
 * chooses the SoC, the mode and the policy.
 *
 * Every call has a non-blocking twin `_nb` that takes a pointer to each argument, and a barrier, which may be NULL. The
 * arguments are read before it returns; what they point to stays until the barrier has counted the call.
 */
#ifndef COSOC_DASH_H
#define COSOC_DASH_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dash_types.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Element by element. */
void DASH_ZIP_flt(dash_cmplx_flt_type* input_1, dash_cmplx_flt_type* input_2, dash_cmplx_flt_type* output, size_t size,
                  zip_op_t op);
void DASH_ZIP_flt_nb(dash_cmplx_flt_type** input_1, dash_cmplx_flt_type** input_2, dash_cmplx_flt_type** output,
                     size_t* size, zip_op_t* op, cedr_barrier_t* kernel_barrier);
void DASH_ZIP_int(dash_cmplx_int_type* input_1, dash_cmplx_int_type* input_2, dash_cmplx_int_type* output, size_t size,
                  zip_op_t op);
void DASH_ZIP_int_nb(dash_cmplx_int_type** input_1, dash_cmplx_int_type** input_2, dash_cmplx_int_type** output,
                     size_t* size, zip_op_t* op, cedr_barrier_t* kernel_barrier);

/* Of any length; the inverse divides by it. */
void DASH_FFT_flt(dash_cmplx_flt_type* input, dash_cmplx_flt_type* output, size_t size, bool isForwardTransform);
void DASH_FFT_flt_nb(dash_cmplx_flt_type** input, dash_cmplx_flt_type** output, size_t* size, bool* isForwardTransform,
                     cedr_barrier_t* kernel_barrier);
void DASH_FFT_int(dash_cmplx_int_type* input, dash_cmplx_int_type* output, size_t size, bool isForwardTransform);
void DASH_FFT_int_nb(dash_cmplx_int_type** input, dash_cmplx_int_type** output, size_t* size, bool* isForwardTransform,
                     cedr_barrier_t* kernel_barrier);

/* C = A * B, row-major. */
void DASH_GEMM_flt(dash_cmplx_flt_type* A, dash_cmplx_flt_type* B, dash_cmplx_flt_type* C, size_t Row_A, size_t Col_A,
                   size_t Col_B);
void DASH_GEMM_flt_nb(dash_cmplx_flt_type** A, dash_cmplx_flt_type** B, dash_cmplx_flt_type** C, size_t* Row_A,
                      size_t* Col_A, size_t* Col_B, cedr_barrier_t* kernel_barrier);
void DASH_GEMM_int(dash_cmplx_int_type* A, dash_cmplx_int_type* B, dash_cmplx_int_type* C, size_t Row_A, size_t Col_A,
                   size_t Col_B);
void DASH_GEMM_int_nb(dash_cmplx_int_type** A, dash_cmplx_int_type** B, dash_cmplx_int_type** C, size_t* Row_A,
                      size_t* Col_A, size_t* Col_B, cedr_barrier_t* kernel_barrier);

/* C = A + B and C = A - B. */
void DASH_BLAS_MADD_flt(dash_cmplx_flt_type* A, dash_cmplx_flt_type* B, dash_cmplx_flt_type* C, size_t A_ROWS,
                        size_t A_COLS);
void DASH_BLAS_MADD_flt_nb(dash_cmplx_flt_type** A, dash_cmplx_flt_type** B, dash_cmplx_flt_type** C, size_t* A_ROWS,
                           size_t* A_COLS, cedr_barrier_t* kernel_barrier);
void DASH_BLAS_MADD_int(dash_cmplx_int_type* A, dash_cmplx_int_type* B, dash_cmplx_int_type* C, size_t A_ROWS,
                        size_t A_COLS);
void DASH_BLAS_MADD_int_nb(dash_cmplx_int_type** A, dash_cmplx_int_type** B, dash_cmplx_int_type** C, size_t* A_ROWS,
                           size_t* A_COLS, cedr_barrier_t* kernel_barrier);
void DASH_BLAS_MSUB_flt(dash_cmplx_flt_type* A, dash_cmplx_flt_type* B, dash_cmplx_flt_type* C, size_t A_ROWS,
                        size_t A_COLS);
void DASH_BLAS_MSUB_flt_nb(dash_cmplx_flt_type** A, dash_cmplx_flt_type** B, dash_cmplx_flt_type** C, size_t* A_ROWS,
                           size_t* A_COLS, cedr_barrier_t* kernel_barrier);
void DASH_BLAS_MSUB_int(dash_cmplx_int_type* A, dash_cmplx_int_type* B, dash_cmplx_int_type* C, size_t A_ROWS,
                        size_t A_COLS);
void DASH_BLAS_MSUB_int_nb(dash_cmplx_int_type** A, dash_cmplx_int_type** B, dash_cmplx_int_type** C, size_t* A_ROWS,
                           size_t* A_COLS, cedr_barrier_t* kernel_barrier);

/* (ROWS, COLS) to (COLS, ROWS), conjugated or not. */
void DASH_BLAS_TRANSPOSE_flt(dash_cmplx_flt_type* in, dash_cmplx_flt_type* out, size_t ROWS, size_t COLS,
                             bool conjugate);
void DASH_BLAS_TRANSPOSE_flt_nb(dash_cmplx_flt_type** in, dash_cmplx_flt_type** out, size_t* ROWS, size_t* COLS,
                                bool* conjugate, cedr_barrier_t* kernel_barrier);
void DASH_BLAS_TRANSPOSE_int(dash_cmplx_int_type* in, dash_cmplx_int_type* out, size_t ROWS, size_t COLS,
                             bool conjugate);
void DASH_BLAS_TRANSPOSE_int_nb(dash_cmplx_int_type** in, dash_cmplx_int_type** out, size_t* ROWS, size_t* COLS,
                                bool* conjugate, cedr_barrier_t* kernel_barrier);

/* Symbols to the nearest of +1 and -1. */
void DASH_BPSK_flt(dash_cmplx_flt_type* input, dash_re_flt_type* output, size_t nsymbols);
void DASH_BPSK_flt_nb(dash_cmplx_flt_type** input, dash_re_flt_type** output, size_t* nsymbols,
                      cedr_barrier_t* kernel_barrier);

/* Symbols to the number of the nearest point of a 4 by 4 constellation: 4 * column + row, from the lowest. */
void DASH_QAM16_flt(dash_cmplx_flt_type* input, int* output, size_t nsymbols);
void DASH_QAM16_flt_nb(dash_cmplx_flt_type** input, int** output, size_t* nsymbols, cedr_barrier_t* kernel_barrier);

/* An image of one channel with a square mask, with zeros around it; the result has the size of the image. */
void DASH_CONV_2D_int(dash_re_int_type* input, int height, int width, dash_re_flt_type* mask, int mask_size,
                      dash_re_int_type* output);
void DASH_CONV_2D_int_nb(dash_re_int_type** input, int* height, int* width, dash_re_flt_type** mask, int* mask_size,
                         dash_re_int_type** output, cedr_barrier_t* kernel_barrier);

/* Added to what is in `output`. */
void DASH_CONV_1D_flt(dash_re_flt_type* input, int size, dash_re_flt_type* mask, int mask_size,
                      dash_re_flt_type* output);
void DASH_CONV_1D_flt_nb(dash_re_flt_type** input, int* size, dash_re_flt_type** mask, int* mask_size,
                         dash_re_flt_type** output, cedr_barrier_t* kernel_barrier);

#ifdef __cplusplus
}
#endif
#endif
