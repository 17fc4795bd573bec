/// float32 convolutions of one to three axes, also transposed ones, as matrix products of unrolled patches.
#include <algorithm>
#include <vector>

#include "kernels/dense/gemm.hpp"
#include "kernels/dense/operation.hpp"
#include "kernels/dense/spatial.hpp"

namespace cosoc {
namespace dense {
namespace {

/// Floats of unrolled patches at a time: they stay in a second-level cache of 256 KB or more.
constexpr std::int64_t patch_floats = std::int64_t{1} << 16;

struct Problem {
  std::int64_t batch, groups;
  std::int64_t in_channels, out_channels;  // of one group
  Axes3 in, out, kernel;
};

class Convolution final : public Operation {
 public:
  Convolution(const nlohmann::json& attributes, const Windows& windows, const Axes3& output_padding, bool transposed,
              std::int64_t groups)
      : Operation("convolution", attributes),
        windows_(windows),
        output_padding_(output_padding),
        transposed_(transposed),
        groups_(groups) {}

  Status check(std::span<const TensorType> inputs, std::span<const TensorType> outputs) const override {
    TypeCheck check(name(), inputs, outputs);
    if (!check.counts(inputs.size() == 3 ? 3 : 2, 1)) return check.status();
    for (const TensorType& type : inputs) check.dtype(type, DType::float32);
    check.dtype(outputs[0], DType::float32);
    const std::size_t rank = windows_.axes + 2;
    for (const TensorType* type : {&inputs[0], &inputs[1], outputs.data()}) check.rank(*type, {rank});
    if (!check.good()) return check.status();
    const Shape& x = inputs[0].shape;
    const Shape& weight = inputs[1].shape;
    const std::int64_t from = transposed_ ? weight[0] : weight[1] * groups_;
    const std::int64_t to = transposed_ ? weight[1] * groups_ : weight[0];
    check.require(x[1] == from && weight[0] % groups_ == 0, "weight " + inputs[1].describe() + " in " +
                                                                std::to_string(groups_) +
                                                                " groups does not fit input " + inputs[0].describe());
    Shape expected = {x[0], to};
    for (std::size_t axis = 0; axis < windows_.axes; ++axis) {
      const std::size_t i = 3 - windows_.axes + axis;
      const std::int64_t extent = windows_.dilation[i] * (weight[2 + axis] - 1) + 1;
      const std::int64_t wide = x[2 + axis] + 2 * windows_.padding[i];
      check.require(transposed_ || wide >= extent, "the kernel is larger than the padded input");
      expected.push_back(transposed_ ? (x[2 + axis] - 1) * windows_.stride[i] - 2 * windows_.padding[i] + extent +
                                           output_padding_[i]
                                     : (wide - extent) / windows_.stride[i] + 1);
    }
    check.shape(outputs[0], expected);
    if (inputs.size() == 3) check.shape(inputs[2], {to});
    return check.status();
  }

  Status run(std::span<const TensorView> inputs, std::span<const TensorView> outputs) const override {
    const Shape& x = inputs[0].type->shape;
    const Shape& y = outputs[0].type->shape;
    const Problem p{
        x[0], groups_, x[1] / groups_, y[1] / groups_, spatial(x), spatial(y), spatial(inputs[1].type->shape)};
    const float* bias = inputs.size() == 3 ? inputs[2].as<float>() : nullptr;
    for (std::int64_t image = 0; image < p.batch; ++image) {
      for (std::int64_t group = 0; group < p.groups; ++group) {
        const std::int64_t at = image * p.groups + group;
        const float* from = inputs[0].as<float>() + at * p.in_channels * volume(p.in);
        float* to = outputs[0].as<float>() + at * p.out_channels * volume(p.out);
        const float* weight = inputs[1].as<float>() + group * p.in_channels * p.out_channels * volume(p.kernel);
        const float* own_bias = bias == nullptr ? nullptr : bias + group * p.out_channels;
        if (transposed_) {
          scatter(p, from, weight, own_bias, to);
        } else if (p.in_channels == 1) {
          sum_taps(p, from, weight, own_bias, to);
        } else {
          gather(p, from, weight, own_bias, to);
        }
      }
    }
    return {};
  }

  Work work(std::span<const TensorType> inputs, std::span<const TensorType> outputs) const override {
    Work work = Operation::work(inputs, outputs);
    const std::int64_t per_channel = inputs[1].elements() / inputs[1].shape[0];
    work.operations = static_cast<std::uint64_t>(per_channel * (transposed_ ? inputs : outputs)[0].elements());
    work.operations_per_cycle = 1.0;
    return work;
  }

 private:
  /// Outputs [first, last) along the innermost axis whose tap lies inside the image.
  std::array<std::int64_t, 2> inside(std::int64_t tap, std::int64_t in, std::int64_t out) const {
    const std::int64_t shift = windows_.padding[2] - tap * windows_.dilation[2];
    const std::int64_t stride = windows_.stride[2];
    const std::int64_t first = shift <= 0 ? 0 : (shift + stride - 1) / stride;
    const std::int64_t reach = in - 1 + shift;
    const std::int64_t last = reach < 0 ? 0 : reach / stride + 1;
    return {std::min(first, out), std::clamp(last, std::min(first, out), out)};
  }

  /// The row of the image under an output row's tap, or nothing where that is padding.
  const float* row(const Problem& p, const float* image, std::int64_t out_row, std::int64_t tap_row) const {
    const std::int64_t depth =
        out_row / p.out[1] * windows_.stride[0] - windows_.padding[0] + tap_row / p.kernel[1] * windows_.dilation[0];
    const std::int64_t height =
        out_row % p.out[1] * windows_.stride[1] - windows_.padding[1] + tap_row % p.kernel[1] * windows_.dilation[1];
    if (depth < 0 || depth >= p.in[0] || height < 0 || height >= p.in[1]) return nullptr;
    return image + (depth * p.in[1] + height) * p.in[2];
  }

  /// Calls `visit(out, in, stride)` for every output of one row whose tap lies inside: in at out * stride.
  template <class Visit>
  void along_row(const Problem& p, const float* in_row, std::int64_t tap, const Visit& visit) const {
    const auto [first, last] = inside(tap, p.in[2], p.out[2]);
    const std::int64_t shift = tap * windows_.dilation[2] - windows_.padding[2];
    visit(first, last, in_row + shift, windows_.stride[2]);
  }

  /// One input channel: every tap adds a scaled row.
  void sum_taps(const Problem& p, const float* image, const float* weight, const float* bias, float* out) const {
    const std::int64_t rows = p.out[0] * p.out[1];
    const std::int64_t tap_rows = p.kernel[0] * p.kernel[1];
    for (std::int64_t channel = 0; channel < p.out_channels; ++channel) {
      std::fill_n(out, volume(p.out), bias == nullptr ? 0.0F : bias[channel]);
      for (std::int64_t out_row = 0; out_row < rows; ++out_row, out += p.out[2]) {
        for (std::int64_t tap_row = 0; tap_row < tap_rows; ++tap_row) {
          const float* in_row = row(p, image, out_row, tap_row);
          if (in_row == nullptr) continue;
          for (std::int64_t tap = 0; tap < p.kernel[2]; ++tap) {
            const float factor = weight[tap_row * p.kernel[2] + tap];
            along_row(p, in_row, tap, [&](std::int64_t first, std::int64_t last, const float* in, std::int64_t stride) {
              if (stride == 1) {
                for (std::int64_t i = first; i < last; ++i) out[i] += factor * in[i];
              } else {
                for (std::int64_t i = first; i < last; ++i) out[i] += factor * in[i * stride];
              }
            });
          }
        }
      }
      weight += volume(p.kernel);
    }
  }

  /// Patches of some output rows, one row of the matrix for every weight.
  void unroll(const Problem& p, const float* image, std::int64_t first_row, std::int64_t rows, float* patches) const {
    const std::int64_t tap_rows = p.kernel[0] * p.kernel[1];
    for (std::int64_t channel = 0; channel < p.in_channels; ++channel, image += volume(p.in)) {
      for (std::int64_t tap_row = 0; tap_row < tap_rows; ++tap_row) {
        for (std::int64_t tap = 0; tap < p.kernel[2]; ++tap) {
          for (std::int64_t out_row = first_row; out_row < first_row + rows; ++out_row, patches += p.out[2]) {
            const float* in_row = row(p, image, out_row, tap_row);
            if (in_row == nullptr) {
              std::fill_n(patches, p.out[2], 0.0F);
              continue;
            }
            along_row(p, in_row, tap, [&](std::int64_t first, std::int64_t last, const float* in, std::int64_t stride) {
              std::fill_n(patches, first, 0.0F);
              std::fill(patches + last, patches + p.out[2], 0.0F);
              if (stride == 1) {
                std::copy(in + first, in + last, patches + first);
              } else {
                for (std::int64_t i = first; i < last; ++i) patches[i] = in[i * stride];
              }
            });
          }
        }
      }
    }
  }

  void gather(const Problem& p, const float* image, const float* weight, const float* bias, float* out) const {
    const std::int64_t depth = p.in_channels * volume(p.kernel);
    const std::int64_t rows = p.out[0] * p.out[1];
    const bool pointwise = volume(p.kernel) == 1 && windows_.stride == Axes3{1, 1, 1} && p.in == p.out;
    Product product{.rows = p.out_channels, .depth = depth, .a = weight, .a_stride = depth, .row_bias = bias};
    product.c_stride = volume(p.out);
    if (pointwise) {
      product.columns = product.b_stride = volume(p.out);
      product.b = image;
      product.c = out;
      return multiply(product);
    }
    const std::int64_t most = std::clamp(patch_floats / (depth * p.out[2]), std::int64_t{1}, rows);
    std::vector<float> patches(static_cast<std::size_t>(depth * most * p.out[2]));
    for (std::int64_t first = 0; first < rows; first += most) {
      const std::int64_t count = std::min(most, rows - first);
      unroll(p, image, first, count, patches.data());
      product.columns = product.b_stride = count * p.out[2];
      product.b = patches.data();
      product.c = out + first * p.out[2];
      multiply(product);
    }
  }

  /// Transposed: every input pixel adds its products with all weights to the outputs under the kernel.
  void scatter(const Problem& p, const float* image, const float* weight, const float* bias, float* out) const {
    const std::int64_t products = p.out_channels * volume(p.kernel);
    const std::int64_t pixels = volume(p.in);
    std::vector<float> turned(static_cast<std::size_t>(products * p.in_channels));
    for (std::int64_t channel = 0; channel < p.in_channels; ++channel) {
      for (std::int64_t i = 0; i < products; ++i) turned[i * p.in_channels + channel] = weight[channel * products + i];
    }
    std::vector<float> values(static_cast<std::size_t>(products * pixels));
    multiply({.rows = products,
              .columns = pixels,
              .depth = p.in_channels,
              .a = turned.data(),
              .a_stride = p.in_channels,
              .b = image,
              .b_stride = pixels,
              .c = values.data(),
              .c_stride = pixels});
    const float* value = values.data();
    for (std::int64_t channel = 0; channel < p.out_channels; ++channel, out += volume(p.out)) {
      std::fill_n(out, volume(p.out), bias == nullptr ? 0.0F : bias[channel]);
      for (std::int64_t tap = 0; tap < volume(p.kernel); ++tap, value += pixels) add_tap(p, tap, value, out);
    }
  }

  void add_tap(const Problem& p, std::int64_t tap, const float* value, float* out) const {
    const Axes3 at = {tap / (p.kernel[1] * p.kernel[2]), tap / p.kernel[2] % p.kernel[1], tap % p.kernel[2]};
    Axes3 shift{};
    for (std::size_t i = 0; i < 3; ++i) shift[i] = at[i] * windows_.dilation[i] - windows_.padding[i];
    for (std::int64_t d = 0; d < p.in[0]; ++d) {
      const std::int64_t depth = d * windows_.stride[0] + shift[0];
      for (std::int64_t h = 0; h < p.in[1]; ++h, value += p.in[2]) {
        const std::int64_t height = h * windows_.stride[1] + shift[1];
        if (depth < 0 || depth >= p.out[0] || height < 0 || height >= p.out[1]) continue;
        float* to = out + (depth * p.out[1] + height) * p.out[2];
        for (std::int64_t w = 0; w < p.in[2]; ++w) {
          const std::int64_t width = w * windows_.stride[2] + shift[2];
          if (width >= 0 && width < p.out[2]) to[width] += value[w];
        }
      }
    }
  }

  Windows windows_;
  Axes3 output_padding_;
  bool transposed_;
  std::int64_t groups_;
};

}  // namespace
}  // namespace dense

KernelResult make_convolution(const nlohmann::json& attributes) {
  AttributeReader reader("convolution", attributes);
  const dense::Windows windows = dense::read_windows(reader);
  const auto extra = reader.list("output_padding", 0, dense::max_window, 3);
  reader.require(extra.size() == windows.axes, "output_padding must have as many numbers as stride");
  const bool transposed = reader.flag("transposed");
  const std::int64_t groups = reader.integer("groups", 1, dense::max_window);
  return dense::finish<dense::Convolution>(reader, attributes, windows, dense::last_axes(extra, 0), transposed, groups);
}

}  // namespace cosoc
