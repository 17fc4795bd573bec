/// The last axes in other sizes, one after another: every element is a weighted sum of its neighbours.
#include <cmath>
#include <vector>

#include "kernels/dense/operation.hpp"
#include "kernels/dense/xnnpack.hpp"

namespace cosoc {
namespace dense {
namespace {

constexpr std::array<std::string_view, 4> modes = {"nearest", "nearest_exact", "linear", "cubic"};
enum Mode : std::size_t { nearest, nearest_exact, linear, cubic };

/// Where an element comes from: up to four positions with their weights.
struct Taps {
  std::array<std::int64_t, 4> at{};
  std::array<float, 4> weight{};
};

/// The cubic convolution kernel with a = -0.75, inside and outside of distance 1.
double near(double x) { return (1.25 * x - 2.25) * x * x + 1.0; }
double far(double x) { return ((-0.75 * x + 3.75) * x - 6.0) * x + 3.0; }

class Resample final : public Operation {
 public:
  Resample(const nlohmann::json& attributes, std::size_t mode, Shape size, std::vector<double> steps, bool aligned)
      : Operation("resample", attributes),
        mode_(mode),
        size_(std::move(size)),
        steps_(std::move(steps)),
        aligned_(aligned) {}

  Status check(std::span<const TensorType> inputs, std::span<const TensorType> outputs) const override {
    TypeCheck check(name(), inputs, outputs);
    if (!check.counts(1, 1)) return check.status();
    check.dtype(inputs[0], DType::float32);
    check.dtype(outputs[0], DType::float32);
    check.require(inputs[0].shape.size() > size_.size(), inputs[0].describe() + " has too few axes");
    if (!check.good()) return check.status();
    Shape expected = inputs[0].shape;
    std::copy(size_.begin(), size_.end(), expected.end() - static_cast<std::ptrdiff_t>(size_.size()));
    check.shape(outputs[0], expected);
    return check.status();
  }

  Status run(std::span<const TensorView> inputs, std::span<const TensorView> outputs) const override {
    // All axes before those that change are one.
    const Shape& whole = inputs[0].type->shape;
    const AroundAxis axes = around(whole, whole.size() - size_.size() - 1);
    Shape shape = {axes.outer * axes.length};
    shape.insert(shape.end(), whole.end() - static_cast<std::ptrdiff_t>(size_.size()), whole.end());
    const std::int64_t done = xnnpack_planes(shape, inputs[0].as<float>(), outputs[0].as<float>());
    const float* in = inputs[0].as<float>() + done * axes.inner;
    float* const out = outputs[0].as<float>() + done * (outputs[0].type->elements() / shape[0]);
    shape[0] -= done;
    std::vector<float> between;
    for (std::size_t i = 0; i < size_.size(); ++i) {
      const bool last = i + 1 == size_.size();
      const AroundAxis along = around(shape, 1 + i);
      shape[1 + i] = size_[i];
      std::vector<float> made(last ? 0 : static_cast<std::size_t>(along.outer * size_[i] * along.inner));
      resample(along, size_[i], steps_[i], in, last ? out : made.data());
      between = std::move(made);
      in = between.data();
    }
    return {};
  }

  Work work(std::span<const TensorType> inputs, std::span<const TensorType> outputs) const override {
    return {8 * static_cast<std::uint64_t>(outputs[0].elements()), inputs[0].bytes() + outputs[0].bytes()};
  }

 private:
  /// How many of the first planes XNNPACK has computed.
  std::int64_t xnnpack_planes(const Shape& shape, const float* in, float* out) const {
    if (mode_ != linear || size_.size() != 2) return 0;
    const xnnpack::Plane from = {shape[1], shape[2]}, to = {size_[0], size_[1]};
    const auto step = [](std::int64_t length, std::int64_t made) { return double(length) / double(made); };
    // The steps of a model may be others than those between the sizes.
    if (steps_[0] != step(from.rows, to.rows) || steps_[1] != step(from.columns, to.columns)) return 0;
    return xnnpack::resample_planes(in, shape[0], from, to, aligned_, out);
  }

  Taps taps(std::int64_t position, std::int64_t size, double step) const {
    const auto limited = [&](double value) { return std::min(static_cast<std::int64_t>(std::floor(value)), size - 1); };
    Taps taps;
    taps.weight[0] = 1.0F;
    const auto at = static_cast<double>(position);
    if (mode_ == nearest) {
      taps.at[0] = limited(at * step);
      return taps;
    }
    if (mode_ == nearest_exact) {
      taps.at[0] = limited((at + 0.5) * step);
      return taps;
    }
    double real = aligned_ ? at * step : (at + 0.5) * step - 0.5;
    if (mode_ == linear) {
      real = std::max(real, 0.0);
      taps.at[0] = limited(real);
      taps.at[1] = std::min(taps.at[0] + 1, size - 1);
      const double rest = std::clamp(real - static_cast<double>(taps.at[0]), 0.0, 1.0);
      taps.weight[0] = static_cast<float>(1.0 - rest);
      taps.weight[1] = static_cast<float>(rest);
      return taps;
    }
    const double low = std::floor(real);
    const double rest = real - low;
    for (std::int64_t i = 0; i < 4; ++i) {
      taps.at[i] = std::clamp(static_cast<std::int64_t>(low) + i - 1, std::int64_t{0}, size - 1);
    }
    taps.weight = {static_cast<float>(far(rest + 1.0)), static_cast<float>(near(rest)),
                   static_cast<float>(near(1.0 - rest)), static_cast<float>(far(2.0 - rest))};
    return taps;
  }

  void resample(const AroundAxis& axes, std::int64_t size, double step, const float* in, float* out) const {
    const std::size_t count = mode_ == cubic ? 4 : mode_ == linear ? 2 : 1;
    std::vector<Taps> table;
    for (std::int64_t i = 0; i < size; ++i) table.push_back(taps(i, axes.length, step));
    for (std::int64_t outer = 0; outer < axes.outer; ++outer, in += axes.length * axes.inner) {
      for (const Taps& from : table) {
        const float* row = in + from.at[0] * axes.inner;
        if (count == 1) {
          std::copy_n(row, axes.inner, out);
        } else {
          for (std::int64_t i = 0; i < axes.inner; ++i) out[i] = row[i] * from.weight[0];
          for (std::size_t tap = 1; tap < count; ++tap) {
            const float* other = in + from.at[tap] * axes.inner;
            for (std::int64_t i = 0; i < axes.inner; ++i) out[i] += other[i] * from.weight[tap];
          }
        }
        out += axes.inner;
      }
    }
  }

  std::size_t mode_;
  Shape size_;
  std::vector<double> steps_;
  bool aligned_;
};

}  // namespace
}  // namespace dense

KernelResult make_resample(const nlohmann::json& attributes) {
  AttributeReader reader("resample", attributes);
  const std::size_t mode = reader.choice("mode", dense::modes);
  const auto size = reader.list("size", 1, std::int64_t{1} << 30, 3);
  const auto steps = reader.numbers64("steps", size.size());
  reader.require(!size.empty(), "size must have one to three numbers");
  // Positions stay far below 2^63.
  for (const double step : steps) reader.require(step >= 0.0 && step <= 0x1p30, "steps must be in 0..2^30");
  const bool aligned = reader.flag("aligned");
  return dense::finish<dense::Resample>(reader, attributes, mode, size, steps, aligned);
}

}  // namespace cosoc
