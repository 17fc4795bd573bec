/// Functions of two elements with PyTorch's broadcasting; both operands have one dtype.
#include <algorithm>
#include <array>
#include <cmath>

#include "kernels/dense/binary_real.hpp"
#include "kernels/dense/operation.hpp"

namespace cosoc {
namespace dense {
namespace {

struct Named {
  std::string_view name;
  bool test = false;                  // bool result
  std::string_view operands = "fic";  // f float32, i int64, b bool, c complex64
};

constexpr std::array table = {
    Named{"add", false, "fic"},        Named{"sub", false, "fic"},         Named{"mul", false, "fibc"},
    Named{"div", false, "fc"},         Named{"floor_divide", false, "fi"}, Named{"trunc_divide", false, "fi"},
    Named{"fmod", false, "fi"},        Named{"remainder", false, "fi"},    Named{"pow", false, "fic"},
    Named{"maximum", false, "fib"},    Named{"minimum", false, "fib"},     Named{"atan2", false, "f"},
    Named{"eq", true, "fibc"},         Named{"ne", true, "fibc"},          Named{"lt", true, "fib"},
    Named{"le", true, "fib"},          Named{"gt", true, "fib"},           Named{"ge", true, "fib"},
    Named{"logical_and", true, "fib"}, Named{"logical_or", true, "fib"},   Named{"logical_xor", true, "fib"},
    Named{"bitwise_and", false, "ib"}, Named{"bitwise_or", false, "ib"},   Named{"bitwise_xor", false, "ib"},
    Named{"left_shift", false, "i"},   Named{"right_shift", false, "i"},   Named{"prelu", false, "f"},
};

constexpr std::array<std::string_view, table.size()> names = [] {
  std::array<std::string_view, table.size()> result;
  for (std::size_t i = 0; i < table.size(); ++i) result[i] = table[i].name;
  return result;
}();

/// `out = function(a, b)`, each operand along its own strides. The usual steps have loops of their own, for the
/// vectorizer.
template <class T, class Out, class Function>
void map(std::span<const TensorView> inputs, const TensorView& output, const Function& function) {
  const T* a_first = inputs[0].as<T>();
  const T* b_first = inputs[1].as<T>();
  Out* out_first = output.as<Out>();
  const auto loops = broadcast_loops<3>(output.type->shape, {&inputs[0].type->shape, &inputs[1].type->shape});
  const std::int64_t a_step = loops.strides[1].back();
  const std::int64_t b_step = loops.strides[2].back();
  loops.for_each_row([&](const std::array<std::int64_t, 3>& offsets, std::int64_t length) {
    const T* a = a_first + offsets[1];
    const T* b = b_first + offsets[2];
    Out* out = out_first + offsets[0];
    if (a_step == 1 && b_step == 1) {
      for (std::int64_t i = 0; i < length; ++i) out[i] = function(a[i], b[i]);
    } else if (a_step == 1 && b_step == 0) {
      const T fixed = *b;
      for (std::int64_t i = 0; i < length; ++i) out[i] = function(a[i], fixed);
    } else if (a_step == 0 && b_step == 1) {
      const T fixed = *a;
      for (std::int64_t i = 0; i < length; ++i) out[i] = function(fixed, b[i]);
    } else {
      for (std::int64_t i = 0; i < length; ++i) out[i] = function(a[i * a_step], b[i * b_step]);
    }
  });
}

/// Elements that are handed on together, where an operand has to be spread.
constexpr std::int64_t block = 256;

/// `count` elements from `first`, `step` apart; those that are not neighbours are copied to `spread`.
const float* neighbours(const float* first, std::int64_t step, std::int64_t count, std::array<float, block>& spread) {
  if (step == 1) return first;
  for (std::int64_t i = 0; i < count; ++i) spread[static_cast<std::size_t>(i)] = first[i * step];
  return spread.data();
}

/// The same by a function of many elements.
void map_pairs(std::span<const TensorView> inputs, const TensorView& output, void (*function)(const PairCall&)) {
  const auto loops = broadcast_loops<3>(output.type->shape, {&inputs[0].type->shape, &inputs[1].type->shape});
  const std::int64_t a_step = loops.strides[1].back();
  const std::int64_t b_step = loops.strides[2].back();
  std::array<float, block> a{}, b{};
  loops.for_each_row([&](const std::array<std::int64_t, 3>& offsets, std::int64_t length) {
    for (std::int64_t first = 0; first < length; first += block) {
      const std::int64_t count = std::min(block, length - first);
      function({.a = neighbours(inputs[0].as<float>() + offsets[1] + first * a_step, a_step, count, a),
                .b = neighbours(inputs[1].as<float>() + offsets[2] + first * b_step, b_step, count, b),
                .out = output.as<float>() + offsets[0] + first,
                .count = count});
    }
  });
}

std::int64_t integer_power(std::int64_t base, std::int64_t exponent) {
  if (exponent < 0) return base == 1 ? 1 : base == -1 ? (exponent % 2 == 0 ? 1 : -1) : 0;
  std::uint64_t result = 1;
  auto factor = static_cast<std::uint64_t>(base);
  for (; exponent > 0; exponent /= 2, factor *= factor) {
    if (exponent % 2 != 0) result *= factor;
  }
  return static_cast<std::int64_t>(result);
}

class Binary final : public Operation {
 public:
  Binary(const nlohmann::json& attributes, std::size_t operation)
      : Operation("binary", attributes), operation_(operation) {}

  Status check(std::span<const TensorType> inputs, std::span<const TensorType> outputs) const override {
    const Named& named = table[operation_];
    TypeCheck check(name(), inputs, outputs);
    if (!check.counts(2, 1)) return check.status();
    check_dense(check, inputs[0]);
    check.dtype(inputs[1], inputs[0].dtype);
    check.dtype(outputs[0], named.test ? DType::boolean : inputs[0].dtype);
    constexpr std::array<std::pair<DType, char>, 4> letters = {
        {{DType::float32, 'f'}, {DType::int64, 'i'}, {DType::boolean, 'b'}, {DType::complex64, 'c'}}};
    for (const auto& [dtype, letter] : letters) {
      const bool possible = inputs[0].dtype != dtype || named.operands.find(letter) != std::string_view::npos;
      check.require(possible, std::string(named.name) + " has no kernel for " + inputs[0].describe());
    }
    for (const TensorType& input : inputs) {
      check.require(broadcasts_to(input.shape, outputs[0].shape),
                    input.describe() + " does not repeat over " + outputs[0].describe());
    }
    return check.status();
  }

  Status run(std::span<const TensorView> inputs, std::span<const TensorView> outputs) const override {
    if (inputs[0].type->dtype == DType::int64) {
      const auto* b = inputs[1].as<std::int64_t>();
      const std::string_view op = names[operation_];
      const bool divides = op == "floor_divide" || op == "trunc_divide" || op == "fmod" || op == "remainder";
      if (divides && std::find(b, b + inputs[1].type->elements(), 0) != b + inputs[1].type->elements()) {
        return failure(std::string(op) + ": division of an integer by zero");
      }
    }
    with_element(inputs[0].type->dtype, [&]<class T>(T) {
      if (table[operation_].test) return compare<T>(inputs, outputs[0]);
      if constexpr (std::is_same_v<T, float>) {
        real(inputs, outputs[0]);
      } else if constexpr (std::is_same_v<T, std::int64_t>) {
        integer(inputs, outputs[0]);
      } else if constexpr (std::is_same_v<T, bool>) {
        logic(inputs, outputs[0]);
      } else {
        complex(inputs, outputs[0]);
      }
    });
    return {};
  }

 private:
  void real(std::span<const TensorView> inputs, const TensorView& output) const;
  void integer(std::span<const TensorView> inputs, const TensorView& output) const;
  void logic(std::span<const TensorView> inputs, const TensorView& output) const;
  void complex(std::span<const TensorView> inputs, const TensorView& output) const;

  template <class T>
  void compare(std::span<const TensorView> inputs, const TensorView& output) const {
    const std::string_view op = names[operation_];
    const auto apply = [&](const auto& function) { map<T, bool>(inputs, output, function); };
    if (op == "eq") return apply([](T a, T b) { return a == b; });
    if (op == "ne") return apply([](T a, T b) { return a != b; });
    if constexpr (!std::is_same_v<T, Complex64>) {
      if (op == "lt") return apply([](T a, T b) { return a < b; });
      if (op == "le") return apply([](T a, T b) { return a <= b; });
      if (op == "gt") return apply([](T a, T b) { return a > b; });
      if (op == "ge") return apply([](T a, T b) { return a >= b; });
      // Without branches.
      if (op == "logical_and") return apply([](T a, T b) { return bool((a != T{}) & (b != T{})); });
      if (op == "logical_or") return apply([](T a, T b) { return bool((a != T{}) | (b != T{})); });
      apply([](T a, T b) { return (a != T{}) != (b != T{}); });
    }
  }

  std::size_t operation_;
};

void Binary::real(std::span<const TensorView> inputs, const TensorView& output) const {
  const std::string_view op = names[operation_];
  const auto apply = [&](const auto& function) { map<float, float>(inputs, output, function); };
  if (op == "add") return apply([](float a, float b) { return a + b; });
  if (op == "sub") return apply([](float a, float b) { return a - b; });
  if (op == "mul") return apply([](float a, float b) { return a * b; });
  if (op == "div") return apply([](float a, float b) { return a / b; });
  if (op == "floor_divide") return map_pairs(inputs, output, map_floor_divide);
  if (op == "trunc_divide") return apply([](float a, float b) { return std::trunc(a / b); });
  if (op == "fmod") return map_pairs(inputs, output, map_fmod);
  if (op == "remainder") return map_pairs(inputs, output, map_remainder);
  if (op == "pow") return apply([](float a, float b) { return b == 2.0F ? a * a : std::pow(a, b); });
  if (op == "atan2") return map_pairs(inputs, output, map_atan2);
  if (op == "prelu") return apply([](float a, float b) { return a > 0.0F ? a : a * b; });
  // NaN wins, as in PyTorch.
  if (op == "maximum") return apply([](float a, float b) { return a > b || a != a ? a : b; });
  apply([](float a, float b) { return a < b || a != a ? a : b; });
}

void Binary::integer(std::span<const TensorView> inputs, const TensorView& output) const {
  using Int = std::int64_t;
  using Unsigned = std::uint64_t;
  const std::string_view op = names[operation_];
  const auto apply = [&](const auto& function) { map<Int, Int>(inputs, output, function); };
  // Sums, differences and products wrap, as PyTorch's do.
  if (op == "add") return apply([](Int a, Int b) { return static_cast<Int>(Unsigned(a) + Unsigned(b)); });
  if (op == "sub") return apply([](Int a, Int b) { return static_cast<Int>(Unsigned(a) - Unsigned(b)); });
  if (op == "mul") return apply([](Int a, Int b) { return static_cast<Int>(Unsigned(a) * Unsigned(b)); });
  // The least integer by -1 is itself, modulo 2^64; processors trap.
  if (op == "trunc_divide") return apply([](Int a, Int b) { return b == -1 ? Int(-Unsigned(a)) : a / b; });
  if (op == "floor_divide") {
    return apply([](Int a, Int b) {
      if (b == -1) return static_cast<Int>(-Unsigned(a));
      return a / b - Int{a % b != 0 && (a < 0) != (b < 0)};
    });
  }
  if (op == "fmod") return apply([](Int a, Int b) { return b == -1 ? 0 : a % b; });
  if (op == "remainder") {
    return apply([](Int a, Int b) {
      const Int rest = b == -1 ? 0 : a % b;
      return rest != 0 && (rest < 0) != (b < 0) ? rest + b : rest;
    });
  }
  if (op == "pow") return apply(integer_power);
  if (op == "maximum") return apply([](Int a, Int b) { return std::max(a, b); });
  if (op == "minimum") return apply([](Int a, Int b) { return std::min(a, b); });
  if (op == "bitwise_and") return apply([](Int a, Int b) { return a & b; });
  if (op == "bitwise_or") return apply([](Int a, Int b) { return a | b; });
  if (op == "bitwise_xor") return apply([](Int a, Int b) { return a ^ b; });
  // Shifts by the width or more leave nothing, or the sign.
  if (op == "left_shift") return apply([](Int a, Int b) { return b < 0 || b > 63 ? 0 : Int(Unsigned(a) << b); });
  apply([](Int a, Int b) { return a >> (b < 0 || b > 63 ? 63 : b); });
}

void Binary::logic(std::span<const TensorView> inputs, const TensorView& output) const {
  const std::string_view op = names[operation_];
  const auto apply = [&](const auto& function) { map<bool, bool>(inputs, output, function); };
  if (op == "maximum" || op == "bitwise_or") return apply([](bool a, bool b) { return bool(a | b); });
  if (op == "bitwise_xor") return apply([](bool a, bool b) { return a != b; });
  apply([](bool a, bool b) { return bool(a & b); });
}

void Binary::complex(std::span<const TensorView> inputs, const TensorView& output) const {
  const std::string_view op = names[operation_];
  const auto apply = [&](const auto& function) { map<Complex64, Complex64>(inputs, output, function); };
  if (op == "add") return apply([](Complex64 a, Complex64 b) { return a + b; });
  if (op == "sub") return apply([](Complex64 a, Complex64 b) { return a - b; });
  if (op == "mul") return apply([](Complex64 a, Complex64 b) { return a * b; });
  if (op == "div") return apply([](Complex64 a, Complex64 b) { return a / b; });
  apply([](Complex64 a, Complex64 b) { return std::pow(a, b); });
}

}  // namespace
}  // namespace dense

KernelResult make_binary(const nlohmann::json& attributes) {
  AttributeReader reader("binary", attributes);
  const std::size_t operation = reader.choice("operation", dense::names);
  return dense::finish<dense::Binary>(reader, attributes, operation);
}

}  // namespace cosoc
