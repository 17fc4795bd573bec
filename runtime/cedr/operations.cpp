#include "cedr/operations.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "cedr/functions.hpp"
#include "cosoc/client.hpp"
#include "cosoc/kernels.hpp"

namespace cosoc::cedr {
namespace {

constexpr std::array<std::string_view, 16> names = {"DASH_ZIP_flt",
                                                    "DASH_ZIP_int",
                                                    "DASH_FFT_flt",
                                                    "DASH_FFT_int",
                                                    "DASH_GEMM_flt",
                                                    "DASH_GEMM_int",
                                                    "DASH_BLAS_MADD_flt",
                                                    "DASH_BLAS_MADD_int",
                                                    "DASH_BLAS_MSUB_flt",
                                                    "DASH_BLAS_MSUB_int",
                                                    "DASH_BLAS_TRANSPOSE_flt",
                                                    "DASH_BLAS_TRANSPOSE_int",
                                                    "DASH_BPSK_flt",
                                                    "DASH_QAM16_flt",
                                                    "DASH_CONV_2D_int",
                                                    "DASH_CONV_1D_flt"};

using Views = std::span<const TensorView>;

/// A kernel for CPU cores from a function that cannot fail.
template <class Function>
std::shared_ptr<const Kernel> on_cores(const Shape& shape, std::uint64_t operations, Function function) {
  const auto run = [function = std::move(function)](Views inputs, Views outputs) {
    function(inputs, outputs[0]);
    return Status();
  };
  return make_user_kernel(std::string(name_of(shape.operation)), run, operations);
}

Result<std::shared_ptr<const Kernel>> make_zip(zip_op_t operation) {
  switch (operation) {
    case ZIP_ADD:
      return kernels::zip(ZIPOperator::add);
    case ZIP_SUB:
      return kernels::zip(ZIPOperator::sub);
    case ZIP_DIV:
      return kernels::zip(ZIPOperator::div);
    case ZIP_MULT:
    case ZIP_CMP_MULT:
      break;
  }
  return kernels::zip(ZIPOperator::mul);
}

std::shared_ptr<const Kernel> make_zip_int(const Shape& shape, zip_op_t operation) {
  const std::size_t count = shape.sizes[0] * std::max<std::size_t>(shape.sizes[1], 1);
  return on_cores(shape, 6 * count, [operation, count](Views in, const TensorView& out) {
    zip_int(operation, in[0].as<ComplexInt>(), in[1].as<ComplexInt>(), out.as<ComplexInt>(), count);
  });
}

std::shared_ptr<const Kernel> make_transpose(const Shape& shape) {
  const bool is_float = shape.operation == Operation::transpose_flt;
  const bool conjugate = shape.variant != 0;
  const auto [rows, columns, unused] = shape.sizes;
  static_cast<void>(unused);
  return on_cores(shape, rows * columns, [=, rows = rows, columns = columns](Views in, const TensorView& out) {
    is_float ? conjugate_transpose(in[0].as<Complex>(), out.as<Complex>(), rows, columns)
             : transpose_int(conjugate, in[0].as<ComplexInt>(), out.as<ComplexInt>(), rows, columns);
  });
}

std::shared_ptr<const Kernel> make_convolution(const Shape& shape) {
  const auto& sizes = shape.sizes;
  if (shape.operation == Operation::conv_1d_flt) {
    return on_cores(shape, sizes[0] * sizes[1], [sizes](Views in, const TensorView& out) {
      conv_1d({in[0].as<float>(), sizes[0]}, {in[1].as<float>(), sizes[1]}, out.as<float>());
    });
  }
  return on_cores(shape, sizes[0] * sizes[1] * sizes[2] * sizes[2], [sizes](Views in, const TensorView& out) {
    conv_2d(in[0].as<std::int16_t>(), sizes[0], sizes[1], {in[1].as<float>(), sizes[2] * sizes[2]}, sizes[2],
            out.as<std::int16_t>());
  });
}

}  // namespace

std::string_view name_of(Operation operation) { return names[static_cast<std::size_t>(operation)]; }

bool Shape::is_empty() const {
  const auto& [a, b, c] = sizes;
  switch (operation) {
    case Operation::gemm_flt:
    case Operation::gemm_int:
    case Operation::conv_2d_int:
      return a == 0 || b == 0 || c == 0;
    case Operation::zip_flt:
    case Operation::zip_int:
    case Operation::fft_flt:
    case Operation::fft_int:
    case Operation::bpsk_flt:
    case Operation::qam16_flt:
      return a == 0;
    default:
      return a == 0 || b == 0;
  }
}

std::size_t Shape::inputs() const {
  switch (operation) {
    case Operation::fft_flt:
    case Operation::fft_int:
    case Operation::transpose_flt:
    case Operation::transpose_int:
    case Operation::bpsk_flt:
    case Operation::qam16_flt:
      return 1;
    default:
      return 2;
  }
}

Operands operands_of(const Shape& shape) {
  const auto a = static_cast<std::int64_t>(shape.sizes[0]);
  const auto b = static_cast<std::int64_t>(shape.sizes[1]);
  const auto c = static_cast<std::int64_t>(shape.sizes[2]);
  const auto make = [](DType dtype, std::vector<std::int64_t> extents) {
    return TensorType{.dtype = dtype, .shape = std::move(extents)};
  };
  const auto same = [](TensorType type) { return Operands{{type, type}, type}; };
  switch (shape.operation) {
    case Operation::zip_flt:
      return same(make(DType::complex64, {a}));
    case Operation::zip_int:
      return same(make(DType::int16, {a, 2}));
    case Operation::fft_flt:
      return {{make(DType::complex64, {a})}, make(DType::complex64, {a})};
    case Operation::fft_int:
      return {{make(DType::int16, {a, 2})}, make(DType::int16, {a, 2})};
    case Operation::gemm_flt:
      return {{make(DType::complex64, {a, b}), make(DType::complex64, {b, c})}, make(DType::complex64, {a, c})};
    case Operation::gemm_int:
      return {{make(DType::int16, {a, b, 2}), make(DType::int16, {b, c, 2})}, make(DType::int16, {a, c, 2})};
    case Operation::madd_flt:
    case Operation::msub_flt:
      return same(make(DType::complex64, {a, b}));
    case Operation::madd_int:
    case Operation::msub_int:
      return same(make(DType::int16, {a, b, 2}));
    case Operation::transpose_flt:
      return {{make(DType::complex64, {a, b})}, make(DType::complex64, {b, a})};
    case Operation::transpose_int:
      return {{make(DType::int16, {a, b, 2})}, make(DType::int16, {b, a, 2})};
    case Operation::bpsk_flt:
      return {{make(DType::complex64, {a})}, make(DType::float32, {a})};
    case Operation::qam16_flt:
      return {{make(DType::complex64, {a})}, make(DType::int32, {a})};
    case Operation::conv_2d_int:
      return {{make(DType::int16, {a, b}), make(DType::float32, {c, c})}, make(DType::int16, {a, b})};
    case Operation::conv_1d_flt:
      break;
  }
  return {{make(DType::float32, {a}), make(DType::float32, {b})}, make(DType::float32, {a})};
}

Result<std::shared_ptr<const Kernel>> make_kernel_of(const Shape& shape) {
  const bool flag = shape.variant != 0;
  const auto [a, b, c] = shape.sizes;
  switch (shape.operation) {
    case Operation::zip_flt:
      return make_zip(static_cast<zip_op_t>(shape.variant));
    case Operation::madd_flt:
      return kernels::zip(ZIPOperator::add);
    case Operation::msub_flt:
      return kernels::zip(ZIPOperator::sub);
    case Operation::zip_int:
      return make_zip_int(shape, static_cast<zip_op_t>(shape.variant));
    case Operation::madd_int:
      return make_zip_int(shape, ZIP_ADD);
    case Operation::msub_int:
      return make_zip_int(shape, ZIP_SUB);
    case Operation::fft_flt:
      return kernels::fft(flag ? FFTDirection::inverse : FFTDirection::forward);
    case Operation::fft_int:
      return on_cores(shape, 5 * a * 16, [flag, count = a](Views in, const TensorView& out) {
        fft_int(flag, in[0].as<ComplexInt>(), out.as<ComplexInt>(), count);
      });
    case Operation::gemm_flt:
      return kernels::gemm();
    case Operation::gemm_int:
      return on_cores(shape, 8 * a * b * c, [rows = a, depth = b, columns = c](Views in, const TensorView& out) {
        gemm_int(in[0].as<ComplexInt>(), in[1].as<ComplexInt>(), out.as<ComplexInt>(), rows, depth, columns);
      });
    case Operation::transpose_flt:
      if (!flag) return kernels::transpose();
      return make_transpose(shape);
    case Operation::transpose_int:
      return make_transpose(shape);
    case Operation::bpsk_flt:
      return on_cores(shape, a, [count = a](Views in, const TensorView& out) {
        bpsk(in[0].as<Complex>(), out.as<float>(), count);
      });
    case Operation::qam16_flt:
      return on_cores(shape, 8 * a, [count = a](Views in, const TensorView& out) {
        qam16(in[0].as<Complex>(), out.as<std::int32_t>(), count);
      });
    case Operation::conv_2d_int:
    case Operation::conv_1d_flt:
      break;
  }
  return make_convolution(shape);
}

}  // namespace cosoc::cedr
