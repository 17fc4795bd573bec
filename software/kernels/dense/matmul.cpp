/// Products of matrices, batches of which repeat over each other; a bias may be added to every row.
#include "kernels/dense/gemm.hpp"
#include "kernels/dense/operation.hpp"

namespace cosoc {
namespace dense {
namespace {

/// Any element type, in the plain order of sums.
template <class T>
void multiply_plainly(std::int64_t rows, std::int64_t columns, std::int64_t depth, const T* a, const T* b,
                      bool transposed, const T* bias, T* c) {
  for (std::int64_t row = 0; row < rows; ++row) {
    for (std::int64_t column = 0; column < columns; ++column) {
      T sum{};
      for (std::int64_t k = 0; k < depth; ++k) {
        sum += a[row * depth + k] * (transposed ? b[column * depth + k] : b[k * columns + column]);
      }
      c[row * columns + column] = bias == nullptr ? sum : sum + bias[column];
    }
  }
}

class MatMul final : public Operation {
 public:
  MatMul(const nlohmann::json& attributes, bool transposed)
      : Operation("matmul", attributes), transposed_(transposed) {}

  Status check(std::span<const TensorType> inputs, std::span<const TensorType> outputs) const override {
    TypeCheck check(name(), inputs, outputs);
    if (!check.counts(inputs.size() == 3 ? 3 : 2, 1)) return check.status();
    const Shape& a = inputs[0].shape;
    const Shape& b = inputs[1].shape;
    const Shape& c = outputs[0].shape;
    check_dense(check, inputs[0]);
    check.require(inputs[0].dtype != DType::boolean, "there is no product of bools");
    for (const TensorType& other : inputs.subspan(1)) check.dtype(other, inputs[0].dtype);
    check.dtype(outputs[0], inputs[0].dtype);
    check.require(a.size() >= 2 && b.size() >= 2 && c.size() == std::max(a.size(), b.size()),
                  "operands must have two axes or more, and the output as many as the longer one");
    if (!check.good()) return check.status();
    const std::int64_t columns = b[b.size() - (transposed_ ? 2 : 1)];
    check.require(a.back() == b[b.size() - (transposed_ ? 1 : 2)],
                  inputs[0].describe() + " by " + inputs[1].describe() + ": the inner lengths differ");
    Shape expected(c.begin(), c.end() - 2);
    const bool batches = broadcasts_to(Shape(a.begin(), a.end() - 2), expected) &&
                         broadcasts_to(Shape(b.begin(), b.end() - 2), expected);
    check.require(batches, "the operands' batches do not repeat over " + outputs[0].describe());
    expected.push_back(a[a.size() - 2]);
    expected.push_back(columns);
    check.shape(outputs[0], expected);
    if (inputs.size() == 3) check.shape(inputs[2], {columns});
    return check.status();
  }

  Status run(std::span<const TensorView> inputs, std::span<const TensorView> outputs) const override {
    with_element(inputs[0].type->dtype, [&]<class T>(T) {
      if constexpr (!std::is_same_v<T, bool>) multiply_batches<T>(inputs, outputs[0]);
    });
    return {};
  }

  Work work(std::span<const TensorType> inputs, std::span<const TensorType> outputs) const override {
    Work work = Operation::work(inputs, outputs);
    work.operations *= static_cast<std::uint64_t>(inputs[0].shape.back());
    // Two lanes of float32 multiply-add, less what loading takes.
    work.operations_per_cycle = 1.0;
    return work;
  }

 private:
  template <class T>
  void multiply_batches(std::span<const TensorView> inputs, const TensorView& output) const {
    const Shape& a = inputs[0].type->shape;
    const Shape& b = inputs[1].type->shape;
    const Shape& c = output.type->shape;
    Matrix m{a[a.size() - 2], c.back(), a.back()};
    Shape batch(c.begin(), c.end() - 2);
    if (b.size() == 2) {
      // One second operand for all: its batches are rows.
      m.rows = output.type->elements() / m.columns;
      batch.clear();
    }
    const T* bias = inputs.size() == 3 ? inputs[2].as<T>() : nullptr;
    if (batch.empty()) return multiply_one(m, inputs[0].as<T>(), inputs[1].as<T>(), bias, output.as<T>());
    Loops<3> loops;
    loops.extents = batch;
    loops.strides = {row_major(batch), broadcast_strides(Shape(a.begin(), a.end() - 2), batch),
                     broadcast_strides(Shape(b.begin(), b.end() - 2), batch)};
    loops.collapse();
    loops.for_each_row([&](const std::array<std::int64_t, 3>& offsets, std::int64_t length) {
      for (std::int64_t i = 0; i < length; ++i) {
        const auto at = [&](std::size_t operand) { return offsets[operand] + i * loops.strides[operand].back(); };
        multiply_one(m, inputs[0].as<T>() + at(1) * m.rows * m.depth, inputs[1].as<T>() + at(2) * m.depth * m.columns,
                     bias, output.as<T>() + at(0) * m.rows * m.columns);
      }
    });
  }

  struct Matrix {
    std::int64_t rows;
    std::int64_t columns;
    std::int64_t depth;
  };

  template <class T>
  void multiply_one(const Matrix& m, const T* a, const T* b, const T* bias, T* c) const {
    if constexpr (std::is_same_v<T, float>) {
      multiply({.rows = m.rows,
                .columns = m.columns,
                .depth = m.depth,
                .a = a,
                .a_stride = m.depth,
                .b = b,
                .b_stride = transposed_ ? m.depth : m.columns,
                .b_transposed = transposed_,
                .column_bias = bias,
                .c = c,
                .c_stride = m.columns});
    } else {
      multiply_plainly(m.rows, m.columns, m.depth, a, b, transposed_, bias, c);
    }
  }

  bool transposed_;
};

}  // namespace
}  // namespace dense

KernelResult make_matmul(const nlohmann::json& attributes) {
  AttributeReader reader("matmul", attributes);
  const bool transposed = reader.flag("transposed");
  return dense::finish<dense::MatMul>(reader, attributes, transposed);
}

}  // namespace cosoc
