/// Sums, products, extremes and tests along any axes, and the positions of extremes along one.
#include <array>
#include <limits>
#include <memory>
#include <vector>

#include "kernels/dense/operation.hpp"
#include "kernels/dense/xnnpack.hpp"

namespace cosoc {
namespace dense {
namespace {

struct Named {
  std::string_view name;
  std::string_view inputs;
  DType output;  // float32: that of the input
};

constexpr std::array table = {
    Named{"sum", "fic", DType::float32}, Named{"mean", "fc", DType::float32}, Named{"prod", "fic", DType::float32},
    Named{"amax", "fi", DType::float32}, Named{"amin", "fi", DType::float32}, Named{"any", "b", DType::boolean},
    Named{"all", "b", DType::boolean},   Named{"argmax", "fi", DType::int64}, Named{"argmin", "fi", DType::int64},
};

constexpr std::array<std::string_view, table.size()> names = [] {
  std::array<std::string_view, table.size()> result;
  for (std::size_t i = 0; i < table.size(); ++i) result[i] = table[i].name;
  return result;
}();

/// Sums of float32 have double precision on the way.
template <class T>
struct Wide {
  using Type = T;
};
template <>
struct Wide<float> {
  using Type = double;
};
template <>
struct Wide<Complex64> {
  using Type = std::complex<double>;
};

class Reduce final : public Operation {
 public:
  Reduce(const nlohmann::json& attributes, std::size_t operation, Shape axes, bool keep)
      : Operation("reduce", attributes), operation_(operation), axes_(std::move(axes)), keep_(keep) {}

  Status check(std::span<const TensorType> inputs, std::span<const TensorType> outputs) const override {
    const Named& named = table[operation_];
    TypeCheck check(name(), inputs, outputs);
    if (!check.counts(1, 1)) return check.status();
    constexpr std::array<std::pair<DType, char>, 4> letters = {
        {{DType::float32, 'f'}, {DType::int64, 'i'}, {DType::boolean, 'b'}, {DType::complex64, 'c'}}};
    const bool known = std::ranges::any_of(letters, [&](const auto& entry) {
      return entry.first == inputs[0].dtype && named.inputs.find(entry.second) != std::string_view::npos;
    });
    check.require(known, std::string(named.name) + " has no kernel for " + inputs[0].describe());
    check.dtype(outputs[0], named.output == DType::float32 ? inputs[0].dtype : named.output);
    const auto rank = static_cast<std::int64_t>(inputs[0].shape.size());
    for (std::size_t i = 0; i < axes_.size(); ++i) {
      check.require(axes_[i] < rank && (i == 0 || axes_[i - 1] < axes_[i]), "axes must ascend and be there");
    }
    check.require(!finds_position() || axes_.size() == 1, "positions are found along one axis");
    if (!check.good()) return check.status();
    Shape expected;
    for (std::int64_t axis = 0; axis < rank; ++axis) {
      if (!reduces(axis)) {
        expected.push_back(inputs[0].shape[axis]);
      } else if (keep_) {
        expected.push_back(1);
      }
    }
    check.shape(outputs[0], expected);
    return check.status();
  }

  Status run(std::span<const TensorView> inputs, std::span<const TensorView> outputs) const override {
    with_element(inputs[0].type->dtype, [&]<class T>(T) { reduce<T>(inputs[0], outputs[0]); });
    return {};
  }

  Work work(std::span<const TensorType> inputs, std::span<const TensorType> outputs) const override {
    return {static_cast<std::uint64_t>(inputs[0].elements()), inputs[0].bytes() + outputs[0].bytes()};
  }

 private:
  bool finds_position() const { return table[operation_].output == DType::int64; }
  bool reduces(std::int64_t axis) const { return std::ranges::find(axes_, axis) != axes_.end(); }
  /// Whether the axes are the last ones, whose elements follow each other.
  bool reduces_last(std::size_t rank) const {
    return !axes_.empty() && axes_[0] + static_cast<std::int64_t>(axes_.size()) == static_cast<std::int64_t>(rank);
  }

  template <class T>
  void reduce(const TensorView& input, const TensorView& output) const {
    const std::string_view op = names[operation_];
    if constexpr (std::is_same_v<T, bool>) {
      if (op == "any") return accumulate<bool, bool>(input, output, false, [](bool a, bool b) { return a || b; });
      return accumulate<bool, bool>(input, output, true, [](bool a, bool b) { return a && b; });
    } else {
      using Sum = typename Wide<T>::Type;
      if constexpr (std::is_same_v<T, float>) {
        if (op == "mean" && reduces_last(input.type->shape.size())) return average(input, output);
      }
      if (op == "sum" || op == "mean") {
        const auto count = input.type->elements() / output.type->elements();
        accumulate<T, Sum>(
            input, output, Sum(0), [](Sum a, T b) { return a + Sum(b); }, op == "sum" ? std::int64_t{1} : count);
        return;
      }
      if (op == "prod") return accumulate<T, Sum>(input, output, Sum(1), [](Sum a, T b) { return a * Sum(b); });
      if constexpr (!std::is_same_v<T, Complex64>) {
        if (finds_position()) return find<T>(input, output, op == "argmax");
        using Limits = std::numeric_limits<T>;
        const T least = Limits::has_infinity ? -Limits::infinity() : Limits::min();
        const T greatest = Limits::has_infinity ? Limits::infinity() : Limits::max();
        // NaN wins, as in PyTorch.
        if (op == "amax")
          return accumulate<T, T>(input, output, least, [](T a, T b) { return a > b || a != a ? a : b; });
        accumulate<T, T>(input, output, greatest, [](T a, T b) { return a < b || a != a ? a : b; });
      }
    }
  }

  /// Averages of elements that follow each other.
  static void average(const TensorView& input, const TensorView& output) {
    const std::int64_t planes = output.type->elements();
    const std::int64_t elements = input.type->elements() / planes;
    const float* in = input.as<float>();
    float* out = output.as<float>();
    const auto add = [](double sum, float value) { return sum + static_cast<double>(value); };
    for (std::int64_t i = xnnpack::average_planes(in, planes, elements, out); i < planes; ++i) {
      const double sum = along_row<float>(in + i * elements, 1, elements, 0.0, 0.0, add);
      out[i] = static_cast<float>(sum / static_cast<double>(elements));
    }
  }

  /// One pass over the input in its order; every element goes into the accumulator of its output.
  template <class T, class Sum, class Function>
  void accumulate(const TensorView& input, const TensorView& output, Sum start, const Function& function,
                  std::int64_t divisor = 1) const {
    const Shape& shape = input.type->shape;
    Loops<2> loops;
    loops.extents = shape;
    loops.strides = {row_major(shape), Shape(shape.size())};
    std::int64_t step = 1;
    for (std::size_t axis = shape.size(); axis-- > 0;) {
      if (reduces(static_cast<std::int64_t>(axis))) continue;
      loops.strides[1][axis] = step;
      step *= shape[axis];
    }
    loops.collapse();
    const auto count = static_cast<std::size_t>(output.type->elements());
    // Not std::vector, which packs bools.
    const auto sums = std::make_unique<Sum[]>(count);
    std::fill_n(sums.get(), count, start);
    const std::int64_t in_step = loops.strides[0].back();
    const std::int64_t out_step = loops.strides[1].back();
    loops.for_each_row([&](const std::array<std::int64_t, 2>& offsets, std::int64_t length) {
      const T* in = input.as<T>() + offsets[0];
      Sum* sum = sums.get() + offsets[1];
      if (out_step == 0) {
        *sum = along_row<T>(in, in_step, length, *sum, start, function);
      } else {
        for (std::int64_t i = 0; i < length; ++i) sum[i * out_step] = function(sum[i * out_step], in[i * in_step]);
      }
    });
    using Out = std::conditional_t<std::is_same_v<Sum, bool>, bool, T>;
    Out* out = output.as<Out>();
    for (std::size_t i = 0; i < count; ++i) {
      if constexpr (std::is_same_v<Sum, bool>) {
        out[i] = sums[i];
      } else {
        out[i] = static_cast<Out>(divisor == 1 ? sums[i] : sums[i] / static_cast<Sum>(divisor));
      }
    }
  }

  /// Several accumulators at a time, so that one sum need not wait for the other.
  template <class T, class Sum, class Function>
  static Sum along_row(const T* in, std::int64_t step, std::int64_t length, Sum sum, Sum start,
                       const Function& function) {
    constexpr std::int64_t count = 8;
    std::array<Sum, count> parts;
    parts.fill(start);
    parts[0] = sum;
    std::int64_t i = 0;
    if (step == 1) {
      for (; i + count <= length; i += count) {
        for (std::int64_t j = 0; j < count; ++j) parts[j] = function(parts[j], in[i + j]);
      }
    } else {
      for (; i + count <= length; i += count) {
        for (std::int64_t j = 0; j < count; ++j) parts[j] = function(parts[j], in[(i + j) * step]);
      }
    }
    for (; i < length; ++i) parts[0] = function(parts[0], in[i * step]);
    if constexpr (std::is_same_v<T, Sum>) {
      for (std::size_t j = 1; j < count; ++j) parts[0] = function(parts[0], parts[j]);
      return parts[0];
    } else {
      for (std::size_t j = 1; j < count; ++j) parts[0] = start == Sum(0) ? parts[0] + parts[j] : parts[0] * parts[j];
      return parts[0];
    }
  }

  /// The first position of the extreme; NaN counts as the extreme.
  template <class T>
  void find(const TensorView& input, const TensorView& output, bool greatest) const {
    const AroundAxis axes = around(input.type->shape, static_cast<std::size_t>(axes_[0]));
    const T* in = input.as<T>();
    auto* out = output.as<std::int64_t>();
    for (std::int64_t outer = 0; outer < axes.outer; ++outer, in += axes.length * axes.inner) {
      for (std::int64_t inner = 0; inner < axes.inner; ++inner) {
        std::int64_t best = 0;
        for (std::int64_t i = 1; i < axes.length; ++i) {
          const T value = in[i * axes.inner + inner];
          const T least = in[best * axes.inner + inner];
          if (least != least) break;
          if (value != value || (greatest ? value > least : value < least)) best = i;
        }
        *out++ = best;
      }
    }
  }

  std::size_t operation_;
  Shape axes_;
  bool keep_;
};

}  // namespace
}  // namespace dense

KernelResult make_reduce(const nlohmann::json& attributes) {
  AttributeReader reader("reduce", attributes);
  const std::size_t operation = reader.choice("operation", dense::names);
  const auto axes = reader.list("axes", 0, 7);
  const bool keep = reader.flag("keep");
  return dense::finish<dense::Reduce>(reader, attributes, operation, axes, keep);
}

}  // namespace cosoc
