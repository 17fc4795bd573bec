/// Sorted elements along an axis, or the first of them, and where they were; equal ones keep their order, and NaN is
/// the largest.
#include <algorithm>
#include <numeric>
#include <optional>
#include <vector>

#include "kernels/dense/operation.hpp"

namespace cosoc {
namespace dense {
namespace {

class Sort final : public Operation {
 public:
  Sort(const nlohmann::json& attributes, std::size_t axis, bool descending, std::optional<std::int64_t> count)
      : Operation("sort", attributes), axis_(axis), descending_(descending), count_(count) {}

  Status check(std::span<const TensorType> inputs, std::span<const TensorType> outputs) const override {
    TypeCheck check(name(), inputs, outputs);
    if (!check.counts(1, 2)) return check.status();
    check.require(inputs[0].dtype == DType::float32 || inputs[0].dtype == DType::int64, "expected float32 or int64");
    check.dtype(outputs[0], inputs[0].dtype);
    check.dtype(outputs[1], DType::int64);
    check.require(axis_ < std::max<std::size_t>(inputs[0].shape.size(), 1),
                  "axis " + std::to_string(axis_) + " of " + inputs[0].describe());
    if (!check.good()) return check.status();
    Shape expected = inputs[0].shape;
    if (count_) {
      check.require(!expected.empty() && *count_ <= expected[axis_], "the first " + std::to_string(*count_) +
                                                                         " along axis " + std::to_string(axis_) +
                                                                         " of " + inputs[0].describe());
      if (!check.good()) return check.status();
      expected[axis_] = *count_;
    }
    for (const TensorType& output : outputs) check.shape(output, expected);
    return check.status();
  }

  Status run(std::span<const TensorView> inputs, std::span<const TensorView> outputs) const override {
    if (inputs[0].type->dtype == DType::float32) {
      sort<float>(inputs[0], outputs);
    } else {
      sort<std::int64_t>(inputs[0], outputs);
    }
    return {};
  }

  Work work(std::span<const TensorType> inputs, std::span<const TensorType> outputs) const override {
    return {static_cast<std::uint64_t>(inputs[0].elements()), 2 * outputs[0].bytes() + outputs[1].bytes(), 0.02};
  }

 private:
  template <class T>
  void sort(const TensorView& input, std::span<const TensorView> outputs) const {
    const AroundAxis axes = around(input.type->shape, axis_);
    const std::int64_t count = count_.value_or(axes.length);
    std::vector<std::int64_t> order(static_cast<std::size_t>(axes.length));
    for (std::int64_t outer = 0; outer < axes.outer; ++outer) {
      for (std::int64_t inner = 0; inner < axes.inner; ++inner) {
        const T* in = input.as<T>() + outer * axes.length * axes.inner + inner;
        const auto less = [&](std::int64_t i, std::int64_t j) {
          const T a = in[i * axes.inner];
          const T b = in[j * axes.inner];
          return a < b || (a == a && b != b);
        };
        std::iota(order.begin(), order.end(), 0);
        if (descending_) {
          sort_first(order, count, [&](std::int64_t i, std::int64_t j) { return less(j, i); });
        } else {
          sort_first(order, count, less);
        }
        const std::int64_t first = outer * count * axes.inner + inner;
        for (std::int64_t i = 0; i < count; ++i) {
          outputs[0].as<T>()[first + i * axes.inner] = in[order[static_cast<std::size_t>(i)] * axes.inner];
          outputs[1].as<std::int64_t>()[first + i * axes.inner] = order[static_cast<std::size_t>(i)];
        }
      }
    }
  }

  template <class Less>
  static void sort_first(std::vector<std::int64_t>& order, std::int64_t count, const Less& less) {
    if (count == static_cast<std::int64_t>(order.size())) {
      std::ranges::stable_sort(order, less);
      return;
    }
    std::partial_sort(order.begin(), order.begin() + count, order.end(),
                      [&](std::int64_t i, std::int64_t j) { return less(i, j) || (!less(j, i) && i < j); });
  }

  std::size_t axis_;
  bool descending_;
  std::optional<std::int64_t> count_;
};

}  // namespace
}  // namespace dense

KernelResult make_sort(const nlohmann::json& attributes) {
  AttributeReader reader("sort", attributes);
  const auto axis = static_cast<std::size_t>(reader.integer("axis", 0, 7));
  const bool descending = reader.flag("descending");
  std::optional<std::int64_t> count;
  if (reader.has("count")) count = reader.integer("count", 1, INT64_MAX);
  return dense::finish<dense::Sort>(reader, attributes, axis, descending, count);
}

}  // namespace cosoc
