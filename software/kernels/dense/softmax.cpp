/// Softmax along an axis, or its logarithm.
#include <cmath>

#include "kernels/dense/functions.hpp"
#include "kernels/dense/operation.hpp"
#include "kernels/dispatch.hpp"

namespace cosoc {
namespace dense {
namespace {

/// `inner` vectors side by side: element k of vector i at [k * inner + i].
struct Call {
  const float* in;
  float* out;
  std::int64_t length;
  std::int64_t inner;
  bool logarithm;
};

/// Elements of one vector that are taken together: maxima and sums need not wait for each other.
constexpr std::int64_t lanes = 32;

/// Powers of `count` elements, which are added to `sums`.
[[gnu::always_inline]] inline void add_powers(const float* in, float greatest, std::int64_t count, float* out,
                                              float* sums) {
  for (std::int64_t i = 0; i < count; ++i) {
    const float power = functions::exp(in[i] - greatest);
    out[i] = power;
    sums[i] += power;
  }
}

/// The largest of `count` elements that are no NaN.
[[gnu::always_inline]] inline float greatest_of(const float* in, std::int64_t count) {
  float found[lanes];
  std::fill_n(found, lanes, -functions::infinity);
  std::int64_t first = 0;
  for (; first + lanes <= count; first += lanes) {
    for (std::int64_t i = 0; i < lanes; ++i) found[i] = in[first + i] > found[i] ? in[first + i] : found[i];
  }
  for (; first < count; ++first) found[0] = in[first] > found[0] ? in[first] : found[0];
  return *std::max_element(found, found + lanes);
}

/// One vector whose elements follow each other.
[[gnu::always_inline]] inline void along(const Call& call) {
  const float greatest = greatest_of(call.in, call.length);
  float sums[lanes] = {};
  std::int64_t first = 0;
  for (; first + lanes <= call.length; first += lanes) {
    add_powers(call.in + first, greatest, lanes, call.out + first, sums);
  }
  add_powers(call.in + first, greatest, call.length - first, call.out + first, sums);
  double sum = 0.0;
  for (const float part : sums) sum += part;
  if (call.logarithm) {
    const auto shift = static_cast<float>(std::log(sum));
    for (std::int64_t i = 0; i < call.length; ++i) call.out[i] = (call.in[i] - greatest) - shift;
  } else {
    const auto factor = static_cast<float>(1.0 / sum);
    for (std::int64_t i = 0; i < call.length; ++i) call.out[i] *= factor;
  }
}

/// Vectors side by side, some at a time.
[[gnu::always_inline]] inline void across(const Call& call) {
  constexpr std::int64_t width = 64;
  for (std::int64_t first = 0; first < call.inner; first += width) {
    const std::int64_t count = std::min(width, call.inner - first);
    float greatest[width], sums[width], factors[width];
    std::fill_n(greatest, width, -functions::infinity);
    std::fill_n(sums, width, 0.0F);
    for (std::int64_t k = 0; k < call.length; ++k) {
      const float* in = call.in + k * call.inner + first;
      for (std::int64_t i = 0; i < count; ++i) greatest[i] = in[i] > greatest[i] ? in[i] : greatest[i];
    }
    for (std::int64_t k = 0; k < call.length; ++k) {
      const float* in = call.in + k * call.inner + first;
      float* out = call.out + k * call.inner + first;
      for (std::int64_t i = 0; i < count; ++i) {
        const float power = functions::exp(in[i] - greatest[i]);
        out[i] = call.logarithm ? in[i] - greatest[i] : power;
        sums[i] += power;
      }
    }
    for (std::int64_t i = 0; i < count; ++i) factors[i] = call.logarithm ? functions::log(sums[i]) : 1.0F / sums[i];
    for (std::int64_t k = 0; k < call.length; ++k) {
      float* out = call.out + k * call.inner + first;
      for (std::int64_t i = 0; i < count; ++i) out[i] = call.logarithm ? out[i] - factors[i] : out[i] * factors[i];
    }
  }
}

[[gnu::always_inline]] inline void softmax_any(const Call& call) { call.inner == 1 ? along(call) : across(call); }

COSOC_DISPATCH_WIDE(softmax, softmax_any, softmax_any, const Call&)

class Softmax final : public Operation {
 public:
  Softmax(const nlohmann::json& attributes, std::size_t axis, bool logarithm)
      : Operation("softmax", attributes), axis_(axis), logarithm_(logarithm) {}

  Status check(std::span<const TensorType> inputs, std::span<const TensorType> outputs) const override {
    TypeCheck check(name(), inputs, outputs);
    if (!check.counts(1, 1)) return check.status();
    check.dtype(inputs[0], DType::float32);
    check.dtype(outputs[0], DType::float32);
    check.shape(outputs[0], inputs[0].shape);
    check.require(axis_ < std::max<std::size_t>(inputs[0].shape.size(), 1),
                  "axis " + std::to_string(axis_) + " of " + inputs[0].describe());
    return check.status();
  }

  Status run(std::span<const TensorView> inputs, std::span<const TensorView> outputs) const override {
    const AroundAxis axes = around(inputs[0].type->shape, axis_);
    const std::int64_t plane = axes.length * axes.inner;
    for (std::int64_t outer = 0; outer < axes.outer; ++outer) {
      softmax({.in = inputs[0].as<float>() + outer * plane,
               .out = outputs[0].as<float>() + outer * plane,
               .length = axes.length,
               .inner = axes.inner,
               .logarithm = logarithm_});
    }
    return {};
  }

  Work work(std::span<const TensorType> inputs, std::span<const TensorType> outputs) const override {
    return {static_cast<std::uint64_t>(inputs[0].elements()), inputs[0].bytes() + outputs[0].bytes(), 0.04};
  }

 private:
  std::size_t axis_;
  bool logarithm_;
};

}  // namespace
}  // namespace dense

KernelResult make_softmax(const nlohmann::json& attributes) {
  AttributeReader reader("softmax", attributes);
  const auto axis = static_cast<std::size_t>(reader.integer("axis", 0, 7));
  const bool logarithm = reader.flag("logarithm");
  return dense::finish<dense::Softmax>(reader, attributes, axis, logarithm);
}

}  // namespace cosoc
