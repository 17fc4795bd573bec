/// Elements before and after, along every axis: a value, or a continuation of what is there.
#include <array>

#include "kernels/dense/operation.hpp"

namespace cosoc {
namespace dense {
namespace {

constexpr std::array<std::string_view, 4> modes = {"constant", "reflect", "replicate", "circular"};
enum Mode : std::size_t { constant, reflect, replicate, circular };
constexpr std::int64_t most = std::int64_t{1} << 30;
constexpr std::int64_t outside = -1;

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
    with_element(inputs[0].type->dtype, [&]<class T>(T) { fill<T>(inputs[0], outputs[0]); });
    return {};
  }

 private:
  /// Where an output position along an axis comes from.
  std::int64_t source(std::int64_t position, std::int64_t size) const {
    if (position >= 0 && position < size) return position;
    switch (mode_) {
      case reflect:
        return position < 0 ? -position : 2 * (size - 1) - position;
      case replicate:
        return position < 0 ? 0 : size - 1;
      case circular:
        return position < 0 ? position + size : position - size;
      default:
        return outside;
    }
  }

  template <class T>
  void fill(const TensorView& input, const TensorView& output) const {
    const T value = T(value_);
    if (output.type->shape.empty()) {
      *output.as<T>() = *input.as<T>();
      return;
    }
    fill_axis(input.as<T>(), output.as<T>(), input.type->shape, output.type->shape, 0, value);
  }

  /// One axis and those inside it; `in` is nothing where all is padding. The position behind the output.
  template <class T>
  T* fill_axis(const T* in, T* out, const Shape& from, const Shape& to, std::size_t axis, T value) const {
    const bool last = axis + 1 == to.size();
    const std::int64_t pitch = in == nullptr || last ? 1 : row_major(from)[axis];
    for (std::int64_t i = 0; i < to[axis]; ++i) {
      const std::int64_t at = in == nullptr ? outside : source(i - before_[axis], from[axis]);
      const T* piece = at == outside ? nullptr : in + at * pitch;
      if (!last) {
        out = fill_axis(piece, out, from, to, axis + 1, value);
      } else {
        *out++ = piece == nullptr ? value : *piece;
      }
    }
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
