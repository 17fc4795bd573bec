#include "cosoc/kernels.hpp"

#include <nlohmann/json.hpp>

namespace cosoc::kernels {
namespace {

using nlohmann::json;

std::string_view name_of(ZIPOperator operation) {
  switch (operation) {
    case ZIPOperator::add:
      return "add";
    case ZIPOperator::sub:
      return "sub";
    case ZIPOperator::mul:
      return "mul";
    case ZIPOperator::div:
      return "div";
    case ZIPOperator::conjugate_mul:
      return "conjugate_mul";
    case ZIPOperator::multiply_add:
      return "multiply_add";
    case ZIPOperator::conjugate_multiply_add:
      return "conjugate_multiply_add";
    case ZIPOperator::magnitude_squared:
      return "magnitude_squared";
    case ZIPOperator::magnitude:
      break;
  }
  return "magnitude";
}

std::string_view name_of(FFTDirection direction) { return direction == FFTDirection::forward ? "forward" : "inverse"; }

}  // namespace

Made fft(FFTDirection direction) { return make_kernel("fft", {{"direction", name_of(direction)}}); }

Made fft(FFTDirection direction, std::size_t axis) {
  return make_kernel("fft", {{"direction", name_of(direction)}, {"axis", axis}});
}

Made rfft() { return make_kernel("rfft", json::object()); }

Made fft_multiply(const FFTMultiplyOptions& options) {
  json values = {{"direction", name_of(options.direction)}, {"operation", options.conjugate ? "conjugate_mul" : "mul"}};
  if (options.axis) values["axis"] = *options.axis;
  return make_kernel("fft_multiply", values);
}

Made zip_int16(const ZIPInt16Options& options) {
  return make_kernel("zip_int16", {{"operation", name_of(options.operation)},
                                   {"numbers", options.complex ? "complex" : "real"},
                                   {"shift", options.shift}});
}

Made zip(ZIPOperator operation) { return make_kernel("zip", {{"operation", name_of(operation)}}); }

Made scale(const std::array<float, 2>& factor) {
  return make_kernel("zip", {{"operation", "scale"}, {"factor", factor}});
}

Made gemm() { return make_kernel("gemm", json::object()); }

Made transpose() { return make_kernel("transpose", json::object()); }

Made magnitude_squared() { return make_kernel("magnitude_squared", json::object()); }

Made conv2d(const Conv2DOptions& options) {
  json values = {{"stride", options.stride},
                 {"padding", options.padding},
                 {"dilation", options.dilation},
                 {"groups", options.groups},
                 {"clamp", options.clamp}};
  if (options.residual) values["residual_multiplier"] = options.residual->multiplier;
  if (options.pool) {
    values["pool_kernel"] = options.pool->kernel;
    values["pool_stride"] = options.pool->stride;
    values["pool_padding"] = options.pool->padding;
  }
  if (options.average) {
    const AveragePool2DOptions& pool = options.average->pool;
    values["pool_kernel"] = pool.kernel;
    values["pool_stride"] = pool.stride;
    values["pool_padding"] = pool.padding;
    values["pool_multiplier"] = pool.multiplier;
    values["pool_zero_point"] = options.average->zero_point;
    values["pool_clamp"] = pool.clamp;
  }
  return make_kernel("conv2d", values);
}

Made conv_transpose2d(const ConvTranspose2DOptions& options) {
  return make_kernel("conv_transpose2d", {{"stride", options.stride},
                                          {"padding", options.padding},
                                          {"output_padding", options.output_padding},
                                          {"dilation", options.dilation},
                                          {"groups", options.groups},
                                          {"clamp", options.clamp}});
}

Made conv1d(const Conv1DOptions& options) {
  return conv2d({.stride = {1, options.stride},
                 .padding = {0, options.padding[0], 0, options.padding[1]},
                 .dilation = {1, options.dilation},
                 .groups = options.groups,
                 .clamp = options.clamp});
}

Made max_pool2d(const MaxPool2DOptions& options) {
  return make_kernel("max_pool2d",
                     {{"kernel", options.kernel}, {"stride", options.stride}, {"padding", options.padding}});
}

Made average_pool2d(const AveragePool2DOptions& options) {
  return make_kernel("average_pool2d", {{"kernel", options.kernel},
                                        {"stride", options.stride},
                                        {"padding", options.padding},
                                        {"multiplier", options.multiplier},
                                        {"clamp", options.clamp}});
}

Made add(const AddOptions& options) {
  return make_kernel("add", {{"multipliers", options.multipliers}, {"clamp", options.clamp}});
}

Made quantize() { return make_kernel("quantize", json::object()); }

Made dequantize() { return make_kernel("dequantize", json::object()); }

}  // namespace cosoc::kernels
