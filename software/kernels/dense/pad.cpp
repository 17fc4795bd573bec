/// Elements before and after, along every axis: a value, or a continuation of what is there.
#include <array>

#include "kernels/dense/operation.hpp"

namespace cosoc {
namespace dense {
namespace {

constexpr std::array<std::string_view, 4> modes = {"constant", "reflect", "replicate", "circular"};
enum Mode : std::size_t { constant, reflect, replicate, circular };
constexpr std::int64_t most = std::int64_t{1} << 30;

class Pad final : public Operation {
 public:
  Pad(const nlohmann::json& attributes, Shape before, Shape after, std::size_t mode, float value)
      : Operation("pad", attributes),
        before_(std::move(before)),
        after_(std::move(after)),
        mode_(mode),
        value_(value) {}

  Status check(std::span<const TensorType> inputs, std::span<const TensorType> outputs) const override {
    TypeCheck check(name(), inputs, outputs);
    if (!check.counts(1, 1)) return check.status();
    check_dense(check, inputs[0]);
    check.dtype(outputs[0], inputs[0].dtype);
    Shape expected = inputs[0].shape;
    check.require(before_.size() == expected.size(),
                  std::to_string(before_.size()) + " paddings for input " + inputs[0].describe());
    if (!check.good()) return check.status();
    for (std::size_t axis = 0; axis < expected.size(); ++axis) {
      const std::int64_t size = expected[axis];
      const std::int64_t least = std::min(before_[axis], after_[axis]);
      const std::int64_t greatest = std::max(before_[axis], after_[axis]);
      check.require(mode_ == constant || least >= 0, "only constant padding may be negative");
      check.require(mode_ != reflect || greatest < size, "reflection of more than the axis has");
      check.require(mode_ != circular || greatest <= size, "more circular padding than the axis has");
      check.require(size + std::min<std::int64_t>(least, 0) > 0, "nothing is left of an axis");
      expected[axis] += before_[axis] + after_[axis];
    }
    check.shape(outputs[0], expected);
    return check.status();
  }

  Status run(std::span<const TensorView> inputs, std::span<const TensorView> outputs) const override {
    const std::vector<Axis> axes = padded_axes(inputs[0].type->shape);
    with_element(inputs[0].type->dtype,
                 [&]<class T>(T) { fill(inputs[0].as<T>(), outputs[0].as<T>(), std::span(axes), T(value_)); });
    return {};
  }

 private:
  struct Axis {
    std::int64_t size;
    std::int64_t before;
    std::int64_t after;
    std::int64_t in_pitch;   // elements of one position, with all axes inside
    std::int64_t out_pitch;  // the same after padding
  };

  /// Outermost first; what lies inside the last axis with padding is copied as it is. At least one axis.
  std::vector<Axis> padded_axes(const Shape& shape) const {
    std::vector<Axis> axes;
    std::int64_t in_pitch = 1;
    std::int64_t out_pitch = 1;
    for (std::size_t i = shape.size(); i-- > 0;) {
      const bool copied = axes.empty() && before_[i] == 0 && after_[i] == 0;
      if (!copied) axes.push_back({shape[i], before_[i], after_[i], in_pitch, out_pitch});
      in_pitch *= shape[i];
      out_pitch *= shape[i] + before_[i] + after_[i];
    }
    if (axes.empty()) axes.push_back({1, 0, 0, in_pitch, out_pitch});
    std::ranges::reverse(axes);
    return axes;
  }

  /// The position inside an axis that a position outside of it repeats.
  std::int64_t source(std::int64_t position, std::int64_t size) const {
    if (mode_ == reflect) return position < 0 ? -position : 2 * (size - 1) - position;
    if (mode_ == replicate) return position < 0 ? 0 : size - 1;
    return position < 0 ? position + size : position - size;
  }

  /// The first of the axes and those inside it; returns the position behind the output.
  template <class T>
  T* fill(const T* in, T* out, std::span<const Axis> axes, T value) const {
    const Axis& axis = axes.front();
    const bool last = axes.size() == 1;
    const auto copy = [&](std::int64_t at) {
      const T* from = in + at * axis.in_pitch;
      out = last ? std::copy_n(from, axis.in_pitch, out) : fill(from, out, axes.subspan(1), value);
    };
    const auto pad = [&](std::int64_t first, std::int64_t end) {
      if (mode_ == constant) {
        out = std::fill_n(out, std::max<std::int64_t>(end - first, 0) * axis.out_pitch, value);
      } else {
        for (std::int64_t i = first; i < end; ++i) copy(source(i, axis.size));
      }
    };
    // Negative padding leaves positions out.
    const std::int64_t first = std::max<std::int64_t>(-axis.before, 0);
    const std::int64_t end = axis.size + std::min<std::int64_t>(axis.after, 0);
    pad(-axis.before, 0);
    if (last) {
      out = std::copy_n(in + first * axis.in_pitch, (end - first) * axis.in_pitch, out);
    } else {
      for (std::int64_t i = first; i < end; ++i) copy(i);
    }
    pad(axis.size, axis.size + axis.after);
    return out;
  }

  Shape before_;
  Shape after_;
  std::size_t mode_;
  float value_;
};

}  // namespace
}  // namespace dense

KernelResult make_pad(const nlohmann::json& attributes) {
  AttributeReader reader("pad", attributes);
  const auto before = reader.list("before", -dense::most, dense::most);
  const auto after = reader.list("after", -dense::most, dense::most);
  reader.require(before.size() == after.size(), "before and after must have as many numbers");
  const std::size_t mode = reader.choice("mode", dense::modes);
  const float value = reader.number("value");
  return dense::finish<dense::Pad>(reader, attributes, before, after, mode, value);
}

}  // namespace cosoc
