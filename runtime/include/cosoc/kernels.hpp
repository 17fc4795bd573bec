/// The kernels of the library by typed functions, for calls of clients: `client.prepare(kernels::gemm(), ...)`.
///
/// The meaning of every operation, and its operands, stand in docs/architecture.md. `make_kernel` of kernels/kernel.hpp
/// makes those of accelerators that were added, too.
#pragma once

#include <array>
#include <cstddef>
#include <memory>

#include "cosoc/operations.hpp"
#include "kernels/kernel.hpp"

namespace cosoc::kernels {

/// A wrong attribute is the error.
using Made = Result<std::shared_ptr<const Kernel>>;

/// Of the last axis of complex64.
Made fft(FFTDirection direction);
/// Of another axis, counted from 0.
Made fft(FFTDirection direction, std::size_t axis);
/// Real float32 to the first half of its spectrum.
Made rfft();
/// A transform of the first operand, multiplied by the second.
Made fft_multiply(const FFTMultiplyOptions& options);
Made zip(ZIPOperator operation);
Made zip_int16(const ZIPInt16Options& options);
/// Times a constant (re, im).
Made scale(const std::array<float, 2>& factor);
/// Matrix product (rows, depth) by (depth, columns) of float32 or complex64.
Made gemm();
/// (rows, columns) to (columns, rows).
Made transpose();
Made magnitude_squared();
/// Feature map, weight, bias, multiplier; with a residual its feature map too, whose handle is not looked at.
Made conv2d(const Conv2DOptions& options);
Made conv_transpose2d(const ConvTranspose2DOptions& options);
/// A `conv2d` of feature maps of one row.
Made conv1d(const Conv1DOptions& options);
Made max_pool2d(const MaxPool2DOptions& options);
Made average_pool2d(const AveragePool2DOptions& options);
Made add(const AddOptions& options);
Made quantize();
Made dequantize();

}  // namespace cosoc::kernels
