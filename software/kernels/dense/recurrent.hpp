/// One direction of one recurrent layer: what LSTM and GRU share.
#pragma once

#include <cmath>
#include <functional>
#include <vector>

#include "kernels/dense/gemm.hpp"
#include "kernels/dense/operation.hpp"

namespace cosoc::dense {

/// x (T, N, I), `states` tensors (N, H), weights (gates * H, I) and (gates * H, H), and both biases (gates * H) or none
/// -> y (T, N, H) and the last states. Of an LSTM a projection (P, H) may follow: then y and the first state have P
/// numbers instead of H, and the second weight is (gates * H, P).
class Recurrent : public Operation {
 public:
  Recurrent(std::string_view name, const nlohmann::json& attributes, std::size_t states, std::int64_t gates,
            bool reverse)
      : Operation(name, attributes), states_(states), gates_(gates), reverse_(reverse) {}

  Status check(std::span<const TensorType> inputs, std::span<const TensorType> outputs) const override {
    TypeCheck check(name(), inputs, outputs);
    const Operands operands = of(inputs.size());
    if (!check.counts(states_ + (operands.biased ? 5 : 3) + (operands.projected ? 1 : 0), states_ + 1)) {
      return check.status();
    }
    for (const TensorType& type : inputs) check.dtype(type, DType::float32);
    for (const TensorType& type : outputs) check.dtype(type, DType::float32);
    check.rank(inputs[0], {3});
    for (std::size_t i = 0; i < states_; ++i) check.rank(inputs[1 + i], {2});
    if (!check.good()) return check.status();
    const Shape& x = inputs[0].shape;
    const std::int64_t hidden = inputs[states_].shape[1];
    const std::int64_t shown = operands.projected ? inputs[1].shape[1] : hidden;
    for (std::size_t i = 0; i < states_; ++i) {
      check.shape(inputs[1 + i], {x[1], i == 0 ? shown : hidden});
      check.shape(outputs[1 + i], {x[1], i == 0 ? shown : hidden});
    }
    check.shape(inputs[states_ + 1], {gates_ * hidden, x[2]});
    check.shape(inputs[states_ + 2], {gates_ * hidden, shown});
    for (std::size_t i = 3; operands.biased && i < 5; ++i) check.shape(inputs[states_ + i], {gates_ * hidden});
    if (operands.projected) check.shape(inputs.back(), {shown, hidden});
    check.shape(outputs[0], {x[0], x[1], shown});
    return check.status();
  }

  Status run(std::span<const TensorView> inputs, std::span<const TensorView> outputs) const override {
    const Shape& x = inputs[0].type->shape;
    const std::int64_t steps = x[0];
    const std::int64_t batch = x[1];
    const Operands operands = of(inputs.size());
    const std::int64_t hidden = inputs[states_].type->shape[1];
    const std::int64_t shown = inputs[1].type->shape[1];
    const std::int64_t wide = gates_ * hidden;
    const auto bias = [&](std::size_t i) { return operands.biased ? inputs[states_ + i].as<float>() : nullptr; };
    // The input's part of all gates at once.
    std::vector<float> from_input(static_cast<std::size_t>(steps * batch * wide));
    project(inputs[0].as<float>(), inputs[states_ + 1].as<float>(), bias(3), steps * batch, x[2], wide,
            from_input.data());
    for (std::size_t i = 0; i < states_; ++i) {
      std::copy_n(inputs[1 + i].as<float>(), inputs[1 + i].type->elements(), outputs[1 + i].as<float>());
    }
    float* state = outputs[1].as<float>();
    float* cell = states_ > 1 ? outputs[2].as<float>() : nullptr;
    std::vector<float> from_state(static_cast<std::size_t>(batch * wide));
    std::vector<float> unprojected(static_cast<std::size_t>(operands.projected ? batch * hidden : 0));
    float* fresh = operands.projected ? unprojected.data() : state;
    for (std::int64_t i = 0; i < steps; ++i) {
      const std::int64_t step = reverse_ ? steps - 1 - i : i;
      project(state, inputs[states_ + 2].as<float>(), bias(4), batch, shown, wide, from_state.data());
      for (std::int64_t sample = 0; sample < batch; ++sample) {
        advance(from_input.data() + (step * batch + sample) * wide, from_state.data() + sample * wide, hidden,
                fresh + sample * hidden, cell == nullptr ? nullptr : cell + sample * hidden);
      }
      if (operands.projected) project(fresh, inputs.back().as<float>(), nullptr, batch, hidden, shown, state);
      std::copy_n(state, batch * shown, outputs[0].as<float>() + step * batch * shown);
    }
    return {};
  }

  Work work(std::span<const TensorType> inputs, std::span<const TensorType> outputs) const override {
    Work work = Operation::work(inputs, outputs);
    const Shape& x = inputs[0].shape;
    const std::int64_t projection = of(inputs.size()).projected ? inputs.back().elements() : 0;
    work.operations = static_cast<std::uint64_t>(
        x[0] * x[1] * (inputs[states_ + 1].elements() + inputs[states_ + 2].elements() + projection));
    work.operations_per_cycle = 1.0;
    return work;
  }

 protected:
  /// The gates' parts from input and state, of one sample, become the new state (and cell).
  virtual void advance(const float* from_input, const float* from_state, std::int64_t hidden, float* state,
                       float* cell) const = 0;

 private:
  struct Operands {
    bool biased = false;
    bool projected = false;
  };

  /// What follows the weights, by the number of operands; only LSTM has projections.
  Operands of(std::size_t count) const {
    const std::size_t more = count > states_ + 3 ? count - states_ - 3 : 0;
    return {.biased = more >= 2, .projected = states_ == 2 && more % 2 == 1};
  }

  static void project(const float* x, const float* weight, const float* bias, std::int64_t rows, std::int64_t depth,
                      std::int64_t columns, float* out) {
    multiply({.rows = rows,
              .columns = columns,
              .depth = depth,
              .a = x,
              .a_stride = depth,
              .b = weight,
              .b_stride = depth,
              .b_transposed = true,
              .column_bias = bias,
              .c = out,
              .c_stride = columns});
  }

  std::size_t states_;
  std::int64_t gates_;
  bool reverse_;
};

}  // namespace cosoc::dense
