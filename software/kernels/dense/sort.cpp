/// Sorted elements along an axis and where they were; equal ones keep their order, and NaN is the largest.
#include <algorithm>
#include <numeric>
#include <vector>

#include "kernels/dense/operation.hpp"

namespace cosoc {
namespace dense {
namespace {

class Sort final : public Operation {
 public:
  Sort(const nlohmann::json& attributes, std::size_t axis, bool descending)
      : Operation("sort", attributes), axis_(axis), descending_(descending) {}

  Status check(std::span<const TensorType> inputs, std::span<const TensorType> outputs) const override {
    TypeCheck check(name(), inputs, outputs);
    if (!check.counts(1, 2)) return check.status();
    check.require(inputs[0].dtype == DType::float32 || inputs[0].dtype == DType::int64, "expected float32 or int64");
    check.dtype(outputs[0], inputs[0].dtype);
    check.dtype(outputs[1], DType::int64);
    check.require(axis_ < std::max<std::size_t>(inputs[0].shape.size(), 1),
                  "axis " + std::to_string(axis_) + " of " + inputs[0].describe());
    for (const TensorType& output : outputs) check.shape(output, inputs[0].shape);
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
    std::vector<std::int64_t> order(static_cast<std::size_t>(axes.length));
    for (std::int64_t outer = 0; outer < axes.outer; ++outer) {
      for (std::int64_t inner = 0; inner < axes.inner; ++inner) {
        const std::int64_t first = outer * axes.length * axes.inner + inner;
        const T* in = input.as<T>() + first;
        const auto less = [&](std::int64_t i, std::int64_t j) {
          const T a = in[i * axes.inner];
          const T b = in[j * axes.inner];
          return a < b || (a == a && b != b);
        };
        std::iota(order.begin(), order.end(), 0);
        if (descending_) {
          std::ranges::stable_sort(order, [&](std::int64_t i, std::int64_t j) { return less(j, i); });
        } else {
          std::ranges::stable_sort(order, less);
        }
        for (std::int64_t i = 0; i < axes.length; ++i) {
          outputs[0].as<T>()[first + i * axes.inner] = in[order[static_cast<std::size_t>(i)] * axes.inner];
          outputs[1].as<std::int64_t>()[first + i * axes.inner] = order[static_cast<std::size_t>(i)];
        }
      }
    }
  }

  std::size_t axis_;
  bool descending_;
};

}  // namespace
}  // namespace dense

KernelResult make_sort(const nlohmann::json& attributes) {
  AttributeReader reader("sort", attributes);
  const auto axis = static_cast<std::size_t>(reader.integer("axis", 0, 7));
  const bool descending = reader.flag("descending");
  return dense::finish<dense::Sort>(reader, attributes, axis, descending);
}

}  // namespace cosoc
