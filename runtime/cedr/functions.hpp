/// The kernels of CEDR's calls that the library has not: int16, symbols, and its convolutions.
///
/// Every function takes dense row-major operands. Results that do not fit 16 bits: ZIP, sums and differences keep the
/// lowest 16 bits, as CEDR has it; all others saturate.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "dash_types.h"
#include "kernels/arithmetic.hpp"

namespace cosoc::cedr {

using ComplexInt = dash_cmplx_int_type;

/// a op b; the quotient by 0 is 0.
void zip_int(zip_op_t operation, const ComplexInt* a, const ComplexInt* b, ComplexInt* out, std::size_t count);
/// A transform in float32, cut off to integers.
void fft_int(bool inverse, const ComplexInt* in, ComplexInt* out, std::size_t count);
/// (rows, depth) by (depth, columns): exact sums of products, then saturated.
void gemm_int(const ComplexInt* a, const ComplexInt* b, ComplexInt* out, std::size_t rows, std::size_t depth,
              std::size_t columns);
void transpose_int(bool conjugate, const ComplexInt* in, ComplexInt* out, std::size_t rows, std::size_t columns);
void conjugate_transpose(const Complex* in, Complex* out, std::size_t rows, std::size_t columns);
/// 1 for a positive real part, -1 for others.
void bpsk(const Complex* in, float* out, std::size_t count);
void qam16(const Complex* in, std::int32_t* out, std::size_t count);
/// Sums in float32, taps in order, cut off to integers.
void conv_2d(const std::int16_t* in, std::size_t height, std::size_t width, std::span<const float> mask,
             std::size_t mask_size, std::int16_t* out);
/// out[i] += the sum over j of in[i - mask.size() / 2 + j] * mask[j], terms outside of `in` left out.
void conv_1d(std::span<const float> in, std::span<const float> mask, float* out);

}  // namespace cosoc::cedr
