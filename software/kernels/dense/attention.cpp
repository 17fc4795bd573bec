/// softmax(scale * query * key^T + mask) * value, batch by batch.
#include <cmath>
#include <limits>
#include <vector>

#include "kernels/dense/functions.hpp"
#include "kernels/dense/gemm.hpp"
#include "kernels/dense/operation.hpp"
#include "kernels/dispatch.hpp"

namespace cosoc {
namespace dense {
namespace {

constexpr float minus_infinity = -std::numeric_limits<float>::infinity();

struct Row {
  float* row;
  const float* mask;  // or none
  float scale;
  std::int64_t seen;
  std::int64_t keys;
};

/// One row of scores becomes weights; a row that sees nothing becomes zeros, as in PyTorch.
[[gnu::always_inline]] inline void normalize_any(const Row& r) {
  float* row = r.row;
  float greatest = minus_infinity;
  for (std::int64_t i = 0; i < r.seen; ++i) {
    row[i] = row[i] * r.scale + (r.mask == nullptr ? 0.0F : r.mask[i]);
    greatest = row[i] > greatest ? row[i] : greatest;
  }
  const std::int64_t seen = greatest == minus_infinity ? 0 : r.seen;
  for (std::int64_t i = 0; i < seen; ++i) row[i] = functions::exp(row[i] - greatest);
  float sum = 0.0F;
  for (std::int64_t i = 0; i < seen; ++i) sum += row[i];
  for (std::int64_t i = 0; i < seen; ++i) row[i] /= sum;
  std::fill(row + seen, row + r.keys, 0.0F);
}

COSOC_DISPATCH(normalize, normalize_any, const Row&)

class Attention final : public Operation {
 public:
  Attention(const nlohmann::json& attributes, float scale, bool causal)
      : Operation("attention", attributes), scale_(scale), causal_(causal) {}

  Status check(std::span<const TensorType> inputs, std::span<const TensorType> outputs) const override {
    TypeCheck check(name(), inputs, outputs);
    if (!check.counts(inputs.size() == 4 ? 4 : 3, 1)) return check.status();
    for (const TensorType& type : inputs) check.dtype(type, DType::float32);
    check.dtype(outputs[0], DType::float32);
    for (std::size_t i = 0; i < 3; ++i) check.rank(inputs[i], {3});
    if (!check.good()) return check.status();
    const Shape& query = inputs[0].shape;
    const Shape& key = inputs[1].shape;
    const Shape& value = inputs[2].shape;
    check.shape(inputs[1], {query[0], key[1], query[2]});
    check.shape(inputs[2], {query[0], key[1], value[2]});
    check.shape(outputs[0], {query[0], query[1], value[2]});
    if (inputs.size() == 4 && inputs[3].shape.size() == 3) {
      check.shape(inputs[3], {query[0], query[1], key[1]});
    } else if (inputs.size() == 4) {
      check.shape(inputs[3], {query[1], key[1]});
    }
    return check.status();
  }

  Status run(std::span<const TensorView> inputs, std::span<const TensorView> outputs) const override {
    const Shape& query = inputs[0].type->shape;
    const std::int64_t rows = query[1];
    const std::int64_t depth = query[2];
    const std::int64_t keys = inputs[1].type->shape[1];
    const std::int64_t columns = inputs[2].type->shape[2];
    std::vector<float> scores(static_cast<std::size_t>(rows * keys));
    for (std::int64_t batch = 0; batch < query[0]; ++batch) {
      multiply({.rows = rows,
                .columns = keys,
                .depth = depth,
                .a = inputs[0].as<float>() + batch * rows * depth,
                .a_stride = depth,
                .b = inputs[1].as<float>() + batch * keys * depth,
                .b_stride = depth,
                .b_transposed = true,
                .c = scores.data(),
                .c_stride = keys});
      const float* mask = inputs.size() < 4                   ? nullptr
                          : inputs[3].type->shape.size() == 3 ? inputs[3].as<float>() + batch * rows * keys
                                                              : inputs[3].as<float>();
      for (std::int64_t row = 0; row < rows; ++row) {
        const std::int64_t seen = causal_ ? std::min(row + 1, keys) : keys;
        normalize({.row = scores.data() + row * keys,
                   .mask = mask == nullptr ? nullptr : mask + row * keys,
                   .scale = scale_,
                   .seen = seen,
                   .keys = keys});
      }
      multiply({.rows = rows,
                .columns = columns,
                .depth = keys,
                .a = scores.data(),
                .a_stride = keys,
                .b = inputs[2].as<float>() + batch * keys * columns,
                .b_stride = columns,
                .c = outputs[0].as<float>() + batch * rows * columns,
                .c_stride = columns});
    }
    return {};
  }

  Work work(std::span<const TensorType> inputs, std::span<const TensorType> outputs) const override {
    Work work = Operation::work(inputs, outputs);
    const Shape& query = inputs[0].shape;
    work.operations =
        static_cast<std::uint64_t>(query[0] * query[1] * inputs[1].shape[1] * (query[2] + inputs[2].shape[2]));
    work.operations_per_cycle = 0.8;
    return work;
  }

 private:
  float scale_;
  bool causal_;
};

}  // namespace
}  // namespace dense

KernelResult make_attention(const nlohmann::json& attributes) {
  AttributeReader reader("attention", attributes);
  const float scale = reader.number("scale");
  const bool causal = reader.flag("causal");
  return dense::finish<dense::Attention>(reader, attributes, scale, causal);
}

}  // namespace cosoc
