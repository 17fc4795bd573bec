/// The functions of dash.h.
#include "cedr/library.hpp"
#include "dash.h"

namespace {

using cosoc::cedr::Library;
using cosoc::cedr::Operation;
using cosoc::cedr::Places;
using cosoc::cedr::Shape;

/// A negative one is found to be too large.
std::uint64_t size_of(int size) { return static_cast<std::uint64_t>(std::int64_t{size}); }

void call(const Shape& shape, const Places& places) { Library::instance().call(shape, places); }

void submit(const Shape& shape, const Places& places, const cedr_barrier_t* barrier) {
  Library::instance().submit(shape, places, barrier);
}

}  // namespace

extern "C" {

void DASH_ZIP_flt(dash_cmplx_flt_type* input_1, dash_cmplx_flt_type* input_2, dash_cmplx_flt_type* output, size_t size,
                  zip_op_t op) {
  call({Operation::zip_flt, static_cast<std::uint32_t>(op), {size}}, {{input_1, input_2}, output});
}

void DASH_ZIP_flt_nb(dash_cmplx_flt_type** input_1, dash_cmplx_flt_type** input_2, dash_cmplx_flt_type** output,
                     size_t* size, zip_op_t* op, cedr_barrier_t* kernel_barrier) {
  submit({Operation::zip_flt, static_cast<std::uint32_t>(*op), {*size}}, {{*input_1, *input_2}, *output},
         kernel_barrier);
}

void DASH_ZIP_int(dash_cmplx_int_type* input_1, dash_cmplx_int_type* input_2, dash_cmplx_int_type* output, size_t size,
                  zip_op_t op) {
  call({Operation::zip_int, static_cast<std::uint32_t>(op), {size}}, {{input_1, input_2}, output});
}

void DASH_ZIP_int_nb(dash_cmplx_int_type** input_1, dash_cmplx_int_type** input_2, dash_cmplx_int_type** output,
                     size_t* size, zip_op_t* op, cedr_barrier_t* kernel_barrier) {
  submit({Operation::zip_int, static_cast<std::uint32_t>(*op), {*size}}, {{*input_1, *input_2}, *output},
         kernel_barrier);
}

void DASH_FFT_flt(dash_cmplx_flt_type* input, dash_cmplx_flt_type* output, size_t size, bool isForwardTransform) {
  call({Operation::fft_flt, isForwardTransform ? 0U : 1U, {size}}, {{input}, output});
}

void DASH_FFT_flt_nb(dash_cmplx_flt_type** input, dash_cmplx_flt_type** output, size_t* size, bool* isForwardTransform,
                     cedr_barrier_t* kernel_barrier) {
  submit({Operation::fft_flt, *isForwardTransform ? 0U : 1U, {*size}}, {{*input}, *output}, kernel_barrier);
}

void DASH_FFT_int(dash_cmplx_int_type* input, dash_cmplx_int_type* output, size_t size, bool isForwardTransform) {
  call({Operation::fft_int, isForwardTransform ? 0U : 1U, {size}}, {{input}, output});
}

void DASH_FFT_int_nb(dash_cmplx_int_type** input, dash_cmplx_int_type** output, size_t* size, bool* isForwardTransform,
                     cedr_barrier_t* kernel_barrier) {
  submit({Operation::fft_int, *isForwardTransform ? 0U : 1U, {*size}}, {{*input}, *output}, kernel_barrier);
}

void DASH_GEMM_flt(dash_cmplx_flt_type* A, dash_cmplx_flt_type* B, dash_cmplx_flt_type* C, size_t Row_A, size_t Col_A,
                   size_t Col_B) {
  call({Operation::gemm_flt, 0, {Row_A, Col_A, Col_B}}, {{A, B}, C});
}

void DASH_GEMM_flt_nb(dash_cmplx_flt_type** A, dash_cmplx_flt_type** B, dash_cmplx_flt_type** C, size_t* Row_A,
                      size_t* Col_A, size_t* Col_B, cedr_barrier_t* kernel_barrier) {
  submit({Operation::gemm_flt, 0, {*Row_A, *Col_A, *Col_B}}, {{*A, *B}, *C}, kernel_barrier);
}

void DASH_GEMM_int(dash_cmplx_int_type* A, dash_cmplx_int_type* B, dash_cmplx_int_type* C, size_t Row_A, size_t Col_A,
                   size_t Col_B) {
  call({Operation::gemm_int, 0, {Row_A, Col_A, Col_B}}, {{A, B}, C});
}

void DASH_GEMM_int_nb(dash_cmplx_int_type** A, dash_cmplx_int_type** B, dash_cmplx_int_type** C, size_t* Row_A,
                      size_t* Col_A, size_t* Col_B, cedr_barrier_t* kernel_barrier) {
  submit({Operation::gemm_int, 0, {*Row_A, *Col_A, *Col_B}}, {{*A, *B}, *C}, kernel_barrier);
}

void DASH_BLAS_MADD_flt(dash_cmplx_flt_type* A, dash_cmplx_flt_type* B, dash_cmplx_flt_type* C, size_t A_ROWS,
                        size_t A_COLS) {
  call({Operation::madd_flt, 0, {A_ROWS, A_COLS}}, {{A, B}, C});
}

void DASH_BLAS_MADD_flt_nb(dash_cmplx_flt_type** A, dash_cmplx_flt_type** B, dash_cmplx_flt_type** C, size_t* A_ROWS,
                           size_t* A_COLS, cedr_barrier_t* kernel_barrier) {
  submit({Operation::madd_flt, 0, {*A_ROWS, *A_COLS}}, {{*A, *B}, *C}, kernel_barrier);
}

void DASH_BLAS_MADD_int(dash_cmplx_int_type* A, dash_cmplx_int_type* B, dash_cmplx_int_type* C, size_t A_ROWS,
                        size_t A_COLS) {
  call({Operation::madd_int, 0, {A_ROWS, A_COLS}}, {{A, B}, C});
}

void DASH_BLAS_MADD_int_nb(dash_cmplx_int_type** A, dash_cmplx_int_type** B, dash_cmplx_int_type** C, size_t* A_ROWS,
                           size_t* A_COLS, cedr_barrier_t* kernel_barrier) {
  submit({Operation::madd_int, 0, {*A_ROWS, *A_COLS}}, {{*A, *B}, *C}, kernel_barrier);
}

void DASH_BLAS_MSUB_flt(dash_cmplx_flt_type* A, dash_cmplx_flt_type* B, dash_cmplx_flt_type* C, size_t A_ROWS,
                        size_t A_COLS) {
  call({Operation::msub_flt, 0, {A_ROWS, A_COLS}}, {{A, B}, C});
}

void DASH_BLAS_MSUB_flt_nb(dash_cmplx_flt_type** A, dash_cmplx_flt_type** B, dash_cmplx_flt_type** C, size_t* A_ROWS,
                           size_t* A_COLS, cedr_barrier_t* kernel_barrier) {
  submit({Operation::msub_flt, 0, {*A_ROWS, *A_COLS}}, {{*A, *B}, *C}, kernel_barrier);
}

void DASH_BLAS_MSUB_int(dash_cmplx_int_type* A, dash_cmplx_int_type* B, dash_cmplx_int_type* C, size_t A_ROWS,
                        size_t A_COLS) {
  call({Operation::msub_int, 0, {A_ROWS, A_COLS}}, {{A, B}, C});
}

void DASH_BLAS_MSUB_int_nb(dash_cmplx_int_type** A, dash_cmplx_int_type** B, dash_cmplx_int_type** C, size_t* A_ROWS,
                           size_t* A_COLS, cedr_barrier_t* kernel_barrier) {
  submit({Operation::msub_int, 0, {*A_ROWS, *A_COLS}}, {{*A, *B}, *C}, kernel_barrier);
}

void DASH_BLAS_TRANSPOSE_flt(dash_cmplx_flt_type* in, dash_cmplx_flt_type* out, size_t ROWS, size_t COLS,
                             bool conjugate) {
  call({Operation::transpose_flt, conjugate ? 1U : 0U, {ROWS, COLS}}, {{in}, out});
}

void DASH_BLAS_TRANSPOSE_flt_nb(dash_cmplx_flt_type** in, dash_cmplx_flt_type** out, size_t* ROWS, size_t* COLS,
                                bool* conjugate, cedr_barrier_t* kernel_barrier) {
  submit({Operation::transpose_flt, *conjugate ? 1U : 0U, {*ROWS, *COLS}}, {{*in}, *out}, kernel_barrier);
}

void DASH_BLAS_TRANSPOSE_int(dash_cmplx_int_type* in, dash_cmplx_int_type* out, size_t ROWS, size_t COLS,
                             bool conjugate) {
  call({Operation::transpose_int, conjugate ? 1U : 0U, {ROWS, COLS}}, {{in}, out});
}

void DASH_BLAS_TRANSPOSE_int_nb(dash_cmplx_int_type** in, dash_cmplx_int_type** out, size_t* ROWS, size_t* COLS,
                                bool* conjugate, cedr_barrier_t* kernel_barrier) {
  submit({Operation::transpose_int, *conjugate ? 1U : 0U, {*ROWS, *COLS}}, {{*in}, *out}, kernel_barrier);
}

void DASH_BPSK_flt(dash_cmplx_flt_type* input, dash_re_flt_type* output, size_t nsymbols) {
  call({Operation::bpsk_flt, 0, {nsymbols}}, {{input}, output});
}

void DASH_BPSK_flt_nb(dash_cmplx_flt_type** input, dash_re_flt_type** output, size_t* nsymbols,
                      cedr_barrier_t* kernel_barrier) {
  submit({Operation::bpsk_flt, 0, {*nsymbols}}, {{*input}, *output}, kernel_barrier);
}

void DASH_QAM16_flt(dash_cmplx_flt_type* input, int* output, size_t nsymbols) {
  call({Operation::qam16_flt, 0, {nsymbols}}, {{input}, output});
}

void DASH_QAM16_flt_nb(dash_cmplx_flt_type** input, int** output, size_t* nsymbols, cedr_barrier_t* kernel_barrier) {
  submit({Operation::qam16_flt, 0, {*nsymbols}}, {{*input}, *output}, kernel_barrier);
}

void DASH_CONV_2D_int(dash_re_int_type* input, int height, int width, dash_re_flt_type* mask, int mask_size,
                      dash_re_int_type* output) {
  call({Operation::conv_2d_int, 0, {size_of(height), size_of(width), size_of(mask_size)}}, {{input, mask}, output});
}

void DASH_CONV_2D_int_nb(dash_re_int_type** input, int* height, int* width, dash_re_flt_type** mask, int* mask_size,
                         dash_re_int_type** output, cedr_barrier_t* kernel_barrier) {
  submit({Operation::conv_2d_int, 0, {size_of(*height), size_of(*width), size_of(*mask_size)}},
         {{*input, *mask}, *output}, kernel_barrier);
}

void DASH_CONV_1D_flt(dash_re_flt_type* input, int size, dash_re_flt_type* mask, int mask_size,
                      dash_re_flt_type* output) {
  call({Operation::conv_1d_flt, 0, {size_of(size), size_of(mask_size)}}, {{input, mask}, output});
}

void DASH_CONV_1D_flt_nb(dash_re_flt_type** input, int* size, dash_re_flt_type** mask, int* mask_size,
                         dash_re_flt_type** output, cedr_barrier_t* kernel_barrier) {
  submit({Operation::conv_1d_flt, 0, {size_of(*size), size_of(*mask_size)}}, {{*input, *mask}, *output},
         kernel_barrier);
}

}  // extern "C"
