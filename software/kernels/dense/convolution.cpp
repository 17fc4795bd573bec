/// float32 convolutions of one to three axes, also transposed ones.
#include <algorithm>
#include <vector>

#include "kernels/dense/convolve.hpp"
#include "kernels/dense/operation.hpp"
#include "kernels/dense/panels.hpp"
#include "kernels/dense/xnnpack.hpp"
#include "kernels/prepare.hpp"

namespace cosoc {
namespace dense {
namespace {

/// What follows the convolution: an addition, and limits of the result.
struct Fused {
  bool residual = false;
  float low = -std::numeric_limits<float>::infinity();
  float high = std::numeric_limits<float>::infinity();
};

enum class Way { winograd, unrolled, direct, transposed };

constexpr std::int64_t max_direct_floats = 1 << 18;

Way way_of(const Problem& p, bool transposed) {
  if (transposed) return Way::transposed;
  if (suits_winograd(p)) return Way::winograd;
  // Padded images take as much memory as they are large, and belong into a second-level cache.
  const bool small = p.in_channels == 1 || p.in_channels * volume(p.in) <= max_direct_floats;
  return small && p.in_channels <= 16 && p.out_channels <= 8 ? Way::direct : Way::unrolled;
}

/// The weights of one group, in the order in which they are read.
std::vector<float> pack(const Problem& p, Way way, const float* weight) {
  if (way == Way::winograd) return pack_winograd(p, weight);
  if (way == Way::transposed) return turn_transposed(p, weight);
  const std::int64_t depth = p.in_channels * volume(p.kernel);
  std::vector<float> packed(static_cast<std::size_t>(packed_floats(p.out_channels, depth)));
  pack_rows(weight, p.out_channels, depth, packed.data());
  return packed;
}

class Convolution final : public Operation, public Preparable {
 public:
  Convolution(const nlohmann::json& attributes, const Windows& windows, const Axes3& output_padding, bool transposed,
              std::int64_t groups, const Fused& fused)
      : Operation("convolution", attributes),
        windows_(windows),
        output_padding_(output_padding),
        transposed_(transposed),
        groups_(groups),
        fused_(fused) {}

  Status check(std::span<const TensorType> inputs, std::span<const TensorType> outputs) const override {
    TypeCheck check(name(), inputs, outputs);
    const std::size_t least = fused_.residual ? 3 : 2;
    if (!check.counts(inputs.size() == least + 1 ? least + 1 : least, 1)) return check.status();
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
    if (inputs.size() > least) check.shape(inputs[2], {to});
    if (fused_.residual) check.shape(inputs.back(), expected);
    return check.status();
  }

  std::shared_ptr<const Kernel> prepare(std::span<const TensorView> inputs,
                                        std::span<const TensorType> outputs) const override {
    const Problem p = problem(*inputs[0].type, *inputs[1].type, outputs[0]);
    const Way way = way_of(p, transposed_);
    if (!inputs[1].constant || way == Way::direct) return nullptr;
    auto copy = std::make_shared<Convolution>(attributes(), windows_, output_padding_, transposed_, groups_, fused_);
    for (std::int64_t group = 0; group < groups_; ++group) {
      copy->packed_.push_back(pack(p, way, inputs[1].as<float>() + group * weights_of(p)));
    }
    return copy;
  }

  Status run(std::span<const TensorView> inputs, std::span<const TensorView> outputs) const override {
    const TensorType& x = *inputs[0].type;
    Problem p = problem(x, *inputs[1].type, *outputs[0].type);
    const bool has_bias = inputs.size() == (fused_.residual ? 4U : 3U);
    const float* bias = has_bias ? inputs[2].as<float>() : nullptr;
    const float* residual = fused_.residual ? inputs.back().as<float>() : nullptr;
    const Way way = way_of(p, transposed_);
    p.groups = way == Way::direct ? groups_ : 1;
    std::vector<float> packed;
    for (std::int64_t group = 0; group < groups_; group += p.groups) {
      const float* weight = inputs[1].as<float>() + group * weights_of(p);
      if (!packed_.empty()) {
        weight = packed_[static_cast<std::size_t>(group)].data();
      } else if (way != Way::direct) {
        packed = pack(p, way, weight);
        weight = packed.data();
      }
      for (std::int64_t image = 0; image < x.shape[0]; ++image) {
        const std::int64_t at = image * groups_ + group;
        const std::int64_t first = at * p.out_channels * volume(p.out);
        const Epilogue epilogue{.bias = bias == nullptr ? nullptr : bias + group * p.out_channels,
                                .residual = residual == nullptr ? nullptr : residual + first,
                                .low = fused_.low,
                                .high = fused_.high};
        convolve(way, {.problem = p,
                       .in = inputs[0].as<float>() + at * p.in_channels * volume(p.in),
                       .weights = weight,
                       .epilogue = epilogue,
                       .out = outputs[0].as<float>() + first});
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
  Problem problem(const TensorType& x, const TensorType& weight, const TensorType& y) const {
    return {.in_channels = x.shape[1] / groups_,
            .out_channels = y.shape[1] / groups_,
            .in = spatial(x.shape),
            .out = spatial(y.shape),
            .kernel = spatial(weight.shape),
            .windows = windows_};
  }

  static std::int64_t weights_of(const Problem& p) { return p.in_channels * p.out_channels * volume(p.kernel); }

  static void convolve(Way way, const Call& call) {
    switch (way) {
      case Way::winograd:
        return convolve_winograd(call);
      case Way::unrolled:
        return convolve_unrolled(call);
      case Way::direct:
        return xnnpack::suits_depthwise(call.problem, call.epilogue) ? xnnpack::convolve_depthwise(call)
                                                                     : convolve_direct(call);
      case Way::transposed:
        return convolve_transposed(call);
    }
  }

  Windows windows_;
  Axes3 output_padding_;
  bool transposed_;
  std::int64_t groups_;
  Fused fused_;
  std::vector<std::vector<float>> packed_;  // by group; empty unless prepared
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
  dense::Fused fused;
  if (reader.has("residual")) fused.residual = reader.flag("residual");
  if (reader.has("low")) fused.low = reader.number("low");
  if (reader.has("high")) fused.high = reader.number("high");
  return dense::finish<dense::Convolution>(reader, attributes, windows, dense::last_axes(extra, 0), transposed, groups,
                                           fused);
}

}  // namespace cosoc
