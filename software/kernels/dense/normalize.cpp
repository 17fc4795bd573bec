/// Normalization of groups of elements to mean 0 and variance 1, then a factor and a term: layer and group norm.
///
/// The input's elements form runs: of `axes` last axes (layer norm, `groups` 0), or of the channels of a group of
/// (N, C, ..) with all that lies behind them. Factor and term belong to a position in the run, or to a channel.
#include <cmath>

#include "kernels/dense/operation.hpp"

namespace cosoc {
namespace dense {
namespace {

class Normalize final : public Operation {
 public:
  Normalize(const nlohmann::json& attributes, std::size_t axes, std::int64_t groups, double epsilon)
      : Operation("normalize", attributes), axes_(axes), groups_(groups), epsilon_(epsilon) {}

  Status check(std::span<const TensorType> inputs, std::span<const TensorType> outputs) const override {
    TypeCheck check(name(), inputs, outputs);
    if (!check.counts(inputs.size() == 3 ? 3 : 1, 1)) return check.status();
    for (const TensorType& type : inputs) check.dtype(type, DType::float32);
    check.dtype(outputs[0], DType::float32);
    check.shape(outputs[0], inputs[0].shape);
    const Shape& x = inputs[0].shape;
    const std::size_t axes = groups_ > 0 ? 2 : axes_;
    check.require(axes >= 1 && axes <= x.size(), inputs[0].describe() + " has too few axes");
    if (!check.good()) return check.status();
    check.require(groups_ == 0 || x[1] % groups_ == 0,
                  "channels do not divide into " + std::to_string(groups_) + " groups");
    const Shape own = groups_ > 0 ? Shape{x[1]} : Shape(x.end() - static_cast<std::ptrdiff_t>(axes), x.end());
    for (const TensorType& type : inputs.subspan(1)) check.shape(type, own);
    return check.status();
  }

  Status run(std::span<const TensorView> inputs, std::span<const TensorView> outputs) const override {
    const Shape& x = inputs[0].type->shape;
    const std::int64_t elements = inputs[0].type->elements();
    std::int64_t length = 1;
    for (std::size_t axis = x.size() - axes_; axis < x.size() && groups_ == 0; ++axis) length *= x[axis];
    if (groups_ > 0) length = elements / (x[0] * groups_);
    const float* in = inputs[0].as<float>();
    float* out = outputs[0].as<float>();
    const float* factor = inputs.size() == 3 ? inputs[1].as<float>() : nullptr;
    const float* term = inputs.size() == 3 ? inputs[2].as<float>() : nullptr;
    for (std::int64_t run = 0; run < elements / length; ++run, in += length, out += length) {
      const auto [mean, scale] = statistics(in, length);
      if (groups_ == 0) {
        for (std::int64_t i = 0; i < length; ++i) {
          const float value = (in[i] - mean) * scale;
          out[i] = factor == nullptr ? value : value * factor[i] + term[i];
        }
        continue;
      }
      const std::int64_t channels = x[1] / groups_;
      const std::int64_t pixels = length / channels;
      const std::int64_t first = run % groups_ * channels;
      for (std::int64_t channel = 0; channel < channels; ++channel) {
        const float gain = factor == nullptr ? scale : scale * factor[first + channel];
        const float shift = term == nullptr ? 0.0F : term[first + channel];
        for (std::int64_t i = channel * pixels; i < (channel + 1) * pixels; ++i) out[i] = (in[i] - mean) * gain + shift;
      }
    }
    return {};
  }

  Work work(std::span<const TensorType> inputs, std::span<const TensorType> outputs) const override {
    return {6 * static_cast<std::uint64_t>(inputs[0].elements()), inputs[0].bytes() + outputs[0].bytes()};
  }

 private:
  /// Eight sums, so that additions need not wait for each other.
  template <class Term>
  static double sum_of(std::int64_t length, const Term& term) {
    constexpr std::int64_t parts = 8;
    double sums[parts] = {};
    std::int64_t i = 0;
    for (; i + parts <= length; i += parts) {
      for (std::int64_t part = 0; part < parts; ++part) sums[part] += term(i + part);
    }
    for (; i < length; ++i) sums[0] += term(i);
    return ((sums[0] + sums[1]) + (sums[2] + sums[3])) + ((sums[4] + sums[5]) + (sums[6] + sums[7]));
  }

  struct Statistics {
    float mean;
    float scale;
  };
  Statistics statistics(const float* in, std::int64_t length) const {
    const double mean = sum_of(length, [in](std::int64_t i) { return double{in[i]}; }) / static_cast<double>(length);
    const double squares = sum_of(length, [in, mean](std::int64_t i) { return (in[i] - mean) * (in[i] - mean); });
    return {static_cast<float>(mean),
            static_cast<float>(1.0 / std::sqrt(squares / static_cast<double>(length) + epsilon_))};
  }

  std::size_t axes_;
  std::int64_t groups_;
  double epsilon_;
};

}  // namespace
}  // namespace dense

KernelResult make_normalize(const nlohmann::json& attributes) {
  AttributeReader reader("normalize", attributes);
  const auto axes = static_cast<std::size_t>(reader.integer("axes", 0, 8));
  const std::int64_t groups = reader.integer("groups", 0, std::int64_t{1} << 30);
  const float epsilon = reader.number("epsilon");
  return dense::finish<dense::Normalize>(reader, attributes, axes, groups, epsilon);
}

}  // namespace cosoc
