/// The operations of a graph as typed functions: each makes its kernel and adds one node.
///
/// The meaning of every operation and attribute stands in docs/architecture.md. Errors are the graph's, see `Graph`.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cosoc/graph.hpp"

namespace cosoc {

/// Height and width.
using Size2D = std::array<std::int64_t, 2>;
/// Rows above, columns left, rows below, columns right.
using Padding2D = std::array<std::int64_t, 4>;
/// Lowest and highest value of an int8 or int16 output.
using Clamp = std::array<std::int32_t, 2>;

struct MaxPool2DOptions {
  Size2D kernel = {2, 2};
  Size2D stride = {2, 2};
  Padding2D padding = {0, 0, 0, 0};
};

struct AveragePool2DOptions {
  Size2D kernel = {2, 2};
  Size2D stride = {2, 2};
  Padding2D padding = {0, 0, 0, 0};
  float multiplier = 1.0F;  // input scale / (output scale * elements of the window)
  Clamp clamp = {-128, 127};
};

/// Averages of a convolution's result, which has this zero point.
struct Conv2DAverage {
  AveragePool2DOptions pool;
  std::int32_t zero_point = 0;
};

/// A feature map of the shape of a convolution's result, added before the result is rounded.
struct Conv2DResidual {
  Tensor tensor;
  std::int64_t multiplier = 0;  // its scale by that of the output, in units of 2^-16, with int16 activations 2^-24
};

struct Conv2DOptions {
  Size2D stride = {1, 1};
  Padding2D padding = {0, 0, 0, 0};
  Size2D dilation = {1, 1};
  std::int64_t groups = 1;
  Clamp clamp = {-128, 127};
  std::optional<Conv2DResidual> residual = {};
  std::optional<MaxPool2DOptions> pool = {};  // of the result
  std::optional<Conv2DAverage> average = {};  // of the result, instead of `pool`
};

/// A convolution of the input with its pixels `stride` apart, and zero points between them.
struct ConvTranspose2DOptions {
  Size2D stride = {1, 1};
  Padding2D padding = {0, 0, 0, 0};  // taken away from the output
  Size2D output_padding = {0, 0};    // rows and columns added at its end
  Size2D dilation = {1, 1};
  std::int64_t groups = 1;
  Clamp clamp = {-128, 127};
};

struct Conv1DOptions {
  std::int64_t stride = 1;
  std::array<std::int64_t, 2> padding = {0, 0};  // before and after
  std::int64_t dilation = 1;
  std::int64_t groups = 1;
  Clamp clamp = {-128, 127};
};

struct AddOptions {
  std::array<float, 2> multipliers = {1.0F, 1.0F};  // input scale / output scale, of a and of b
  Clamp clamp = {-128, 127};
};

enum class FFTDirection { forward, inverse };
/// The last two take one tensor, the two before them three.
enum class ZIPOperator {
  add,
  sub,
  mul,
  div,
  conjugate_mul,
  multiply_add,
  conjugate_multiply_add,
  magnitude_squared,
  magnitude
};

struct FFTMultiplyOptions {
  FFTDirection direction = FFTDirection::forward;
  bool conjugate = false;  // multiplies by the conjugate of b
  std::optional<std::size_t> axis = {};
};

struct ZIPInt16Options {
  ZIPOperator operation = ZIPOperator::add;
  bool complex = true;      // a last dimension (re, im)
  std::uint32_t shift = 0;  // bits by which results go to the right, quotients to the left, rounded
};

/// `input` int8 or int16 feature map, `weight` int8 (Cout, Kh, Kw, Cin/groups), `bias` int32 (Cout), `multiplier`
/// float32 (Cout).
Tensor conv2d(Graph& graph, const std::string& name, Tensor input, Tensor weight, Tensor bias, Tensor multiplier,
              const Conv2DOptions& attributes, const TensorType& output, const NodeOptions& options = {});
/// The same tensors as `conv2d`.
Tensor conv_transpose2d(Graph& graph, const std::string& name, Tensor input, Tensor weight, Tensor bias,
                        Tensor multiplier, const ConvTranspose2DOptions& attributes, const TensorType& output,
                        const NodeOptions& options = {});
/// A `conv2d` of feature maps of one row (N, 1, W, C) and a weight (Cout, 1, K, Cin/groups).
Tensor conv1d(Graph& graph, const std::string& name, Tensor input, Tensor weight, Tensor bias, Tensor multiplier,
              const Conv1DOptions& attributes, const TensorType& output, const NodeOptions& options = {});
Tensor max_pool2d(Graph& graph, const std::string& name, Tensor input, const MaxPool2DOptions& attributes,
                  const TensorType& output, const NodeOptions& options = {});
Tensor average_pool2d(Graph& graph, const std::string& name, Tensor input, const AveragePool2DOptions& attributes,
                      const TensorType& output, const NodeOptions& options = {});
Tensor add(Graph& graph, const std::string& name, Tensor a, Tensor b, const AddOptions& attributes,
           const TensorType& output, const NodeOptions& options = {});
/// float32 (N, C, H, W), (N, C, L) or (N, F) to a feature map with the scale and zero point of `output`.
Tensor quantize(Graph& graph, const std::string& name, Tensor input, const TensorType& output,
                const NodeOptions& options = {});
Tensor dequantize(Graph& graph, const std::string& name, Tensor input, const TensorType& output,
                  const NodeOptions& options = {});
/// Of the last axis of a complex64 tensor; the output has the input's type.
Tensor fft(Graph& graph, const std::string& name, Tensor input, FFTDirection direction,
           const NodeOptions& options = {});
/// Of another axis, counted from 0.
Tensor fft(Graph& graph, const std::string& name, Tensor input, FFTDirection direction, std::size_t axis,
           const NodeOptions& options = {});
/// Real float32 (..., L) to its bins 0 .. L / 2, complex64.
Tensor rfft(Graph& graph, const std::string& name, Tensor input, const NodeOptions& options = {});
/// `fft`, multiplied element by element by `b`, which has the shape of `input` or of its last axes.
Tensor fft_multiply(Graph& graph, const std::string& name, Tensor input, Tensor b, const FFTMultiplyOptions& attributes,
                    const NodeOptions& options = {});
/// Element by element on int16 tensors (docs/zip.md): `operands` are a, or a and b, or a, b and c.
Tensor zip_int16(Graph& graph, const std::string& name, const std::vector<Tensor>& operands,
                 const ZIPInt16Options& attributes, const NodeOptions& options = {});
/// Element by element (docs/zip.md) on complex64 tensors, add, sub, mul, div and multiply_add also on float32; the
/// output has the type of `a`. `b` has the shape of `a`, or of its last axes, or one element.
Tensor zip(Graph& graph, const std::string& name, Tensor a, Tensor b, ZIPOperator operation,
           const NodeOptions& options = {});
/// With a third operand: `c + a * b`.
Tensor zip(Graph& graph, const std::string& name, Tensor a, Tensor b, Tensor c, ZIPOperator operation,
           const NodeOptions& options = {});
/// Magnitudes: float32 of the shape of `a`.
Tensor zip(Graph& graph, const std::string& name, Tensor a, ZIPOperator operation, const NodeOptions& options = {});
/// `a` times a constant (re, im), also on float32, where im is 0.
Tensor scale(Graph& graph, const std::string& name, Tensor a, const std::array<float, 2>& factor,
             const NodeOptions& options = {});
/// Matrix product of (rows, depth) by (depth, columns), both float32 or complex64.
Tensor gemm(Graph& graph, const std::string& name, Tensor a, Tensor b, const NodeOptions& options = {});
/// complex64 (rows, columns) to (columns, rows).
Tensor transpose(Graph& graph, const std::string& name, Tensor input, const NodeOptions& options = {});
/// complex64 to float32 of the same shape.
Tensor magnitude_squared(Graph& graph, const std::string& name, Tensor input, const NodeOptions& options = {});

/// Any operation by its name, with its attributes as the JSON text of a bundle; one handle for each output.
std::vector<Tensor> operation(Graph& graph, const std::string& name, std::string_view operation,
                              std::string_view attributes, std::initializer_list<Tensor> inputs,
                              std::initializer_list<NamedType> outputs, const NodeOptions& options = {});

}  // namespace cosoc
