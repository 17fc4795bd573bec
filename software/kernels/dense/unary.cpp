/// Functions of one element: float32 mathematics, and what int64, bool and complex64 have of it.
#include "kernels/dense/unary.hpp"

#include <array>
#include <cmath>
#include <limits>

#include "kernels/dense/operation.hpp"

namespace cosoc {
namespace dense {
namespace {

/// How an operation's output dtype follows from that of its input.
enum class Output { same, boolean, real };

struct Named {
  std::string_view name;
  std::size_t parameters = 0;
  Output output = Output::same;
  std::string_view inputs = "f";  // f float32, i int64, b bool, c complex64
};

constexpr std::array table = {
    Named{"neg", 0, Output::same, "fic"},
    Named{"abs", 0, Output::real, "fic"},
    Named{"sign", 0, Output::same, "fi"},
    Named{"floor"},
    Named{"ceil"},
    Named{"trunc"},
    Named{"round"},
    Named{"exp", 0, Output::same, "fc"},
    Named{"exp2", 0, Output::same, "fc"},
    Named{"expm1", 0, Output::same, "fc"},
    Named{"log", 0, Output::same, "fc"},
    Named{"log1p", 0, Output::same, "fc"},
    Named{"log2", 0, Output::same, "fc"},
    Named{"log10", 0, Output::same, "fc"},
    Named{"sqrt", 0, Output::same, "fc"},
    Named{"rsqrt", 0, Output::same, "fc"},
    Named{"reciprocal", 0, Output::same, "fc"},
    Named{"sin", 0, Output::same, "fc"},
    Named{"cos", 0, Output::same, "fc"},
    Named{"tan", 0, Output::same, "fc"},
    Named{"asin", 0, Output::same, "fc"},
    Named{"acos", 0, Output::same, "fc"},
    Named{"atan", 0, Output::same, "fc"},
    Named{"sinh", 0, Output::same, "fc"},
    Named{"cosh", 0, Output::same, "fc"},
    Named{"tanh", 0, Output::same, "fc"},
    Named{"asinh", 0, Output::same, "fc"},
    Named{"acosh", 0, Output::same, "fc"},
    Named{"atanh", 0, Output::same, "fc"},
    Named{"erf"},
    Named{"erfc"},
    Named{"sigmoid", 0, Output::same, "fc"},
    Named{"relu", 0, Output::same, "fi"},
    Named{"gelu"},
    Named{"gelu_tanh"},
    Named{"silu", 0, Output::same, "fc"},
    Named{"mish"},
    Named{"hardswish"},
    Named{"hardsigmoid"},
    Named{"softplus", 2},    // beta, threshold
    Named{"elu", 3},         // alpha, scale, input scale
    Named{"leaky_relu", 1},  // slope
    Named{"clamp", 2},       // lowest, highest
    Named{"logical_not", 0, Output::boolean, "fibc"},
    Named{"bitwise_not", 0, Output::same, "ib"},
    Named{"isnan", 0, Output::boolean, "fc"},
    Named{"isinf", 0, Output::boolean, "fc"},
    Named{"real", 0, Output::real, "c"},
    Named{"imag", 0, Output::real, "c"},
    Named{"angle", 0, Output::real, "fc"},
    Named{"conj", 0, Output::same, "c"},
};

constexpr std::array<std::string_view, table.size()> names = [] {
  std::array<std::string_view, table.size()> result;
  for (std::size_t i = 0; i < table.size(); ++i) result[i] = table[i].name;
  return result;
}();

char letter(DType dtype) {
  switch (dtype) {
    case DType::float32:
      return 'f';
    case DType::int64:
      return 'i';
    case DType::boolean:
      return 'b';
    case DType::complex64:
      return 'c';
    default:
      return '-';
  }
}

template <class In, class Out, class Function>
void map(const TensorView& input, const TensorView& output, const Function& function) {
  const auto count = static_cast<std::size_t>(input.type->elements());
  const In* in = input.as<In>();
  Out* out = output.as<Out>();
  for (std::size_t i = 0; i < count; ++i) out[i] = function(in[i]);
}

class Unary final : public Operation {
 public:
  Unary(const nlohmann::json& attributes, std::size_t operation, std::vector<float> parameters)
      : Operation("unary", attributes), operation_(operation), p_(std::move(parameters)) {}

  Status check(std::span<const TensorType> inputs, std::span<const TensorType> outputs) const override {
    const Named& named = table[operation_];
    TypeCheck check(name(), inputs, outputs);
    if (!check.counts(1, 1)) return check.status();
    const bool known = named.inputs.find(letter(inputs[0].dtype)) != std::string_view::npos;
    check.require(known, std::string(named.name) + " has no kernel for " + inputs[0].describe());
    const DType same = inputs[0].dtype;
    check.dtype(outputs[0], named.output == Output::boolean                            ? DType::boolean
                            : named.output == Output::real && same == DType::complex64 ? DType::float32
                                                                                       : same);
    check.shape(outputs[0], inputs[0].shape);
    return check.status();
  }

  Status run(std::span<const TensorView> inputs, std::span<const TensorView> outputs) const override {
    switch (inputs[0].type->dtype) {
      case DType::float32:
        real(inputs[0], outputs[0]);
        break;
      case DType::complex64:
        complex(inputs[0], outputs[0]);
        break;
      case DType::int64:
        integer(inputs[0], outputs[0]);
        break;
      default:
        map<bool, bool>(inputs[0], outputs[0], [](bool x) { return !x; });
    }
    return {};
  }

  Work work(std::span<const TensorType> inputs, std::span<const TensorType> outputs) const override {
    // A transcendental function takes some tens of cycles.
    return {static_cast<std::uint64_t>(inputs[0].elements()), inputs[0].bytes() + outputs[0].bytes(), 0.05};
  }

 private:
  void real(const TensorView& in, const TensorView& out) const;
  void complex(const TensorView& in, const TensorView& out) const;
  void integer(const TensorView& in, const TensorView& out) const;

  std::size_t operation_;
  std::vector<float> p_;
};

void Unary::real(const TensorView& in, const TensorView& out) const {
  const RealCall call = {.operation = names[operation_],
                         .parameters = p_,
                         .in = in.as<float>(),
                         .out = out.as<float>(),
                         .count = in.type->elements()};
  if (map_real(call)) return;
  const std::string_view op = names[operation_];
  const auto test = [&](const auto& function) { map<float, bool>(in, out, function); };
  if (op == "logical_not") return test([](float x) { return x == 0.0F; });
  if (op == "isnan") return test([](float x) { return std::isnan(x); });
  return test([](float x) { return std::isinf(x); });
}

void Unary::complex(const TensorView& in, const TensorView& out) const {
  const std::string_view op = names[operation_];
  const auto narrow = [&](const auto& function) { map<Complex64, float>(in, out, function); };
  const auto test = [&](const auto& function) { map<Complex64, bool>(in, out, function); };
  if (map_complex(op, {in.as<Complex64>(), static_cast<std::size_t>(in.type->elements())}, out.as<Complex64>())) return;
  if (op == "abs") return narrow([](Complex64 x) { return std::hypot(x.real(), x.imag()); });
  if (op == "real") return narrow([](Complex64 x) { return x.real(); });
  if (op == "imag") return narrow([](Complex64 x) { return x.imag(); });
  if (op == "angle") return narrow([](Complex64 x) { return std::atan2(x.imag(), x.real()); });
  if (op == "isnan") return test([](Complex64 x) { return std::isnan(x.real()) || std::isnan(x.imag()); });
  if (op == "isinf") return test([](Complex64 x) { return std::isinf(x.real()) || std::isinf(x.imag()); });
  return test([](Complex64 x) { return x == Complex64(0.0F); });
}

void Unary::integer(const TensorView& in, const TensorView& out) const {
  using Int = std::int64_t;
  const std::string_view op = names[operation_];
  const auto apply = [&](const auto& function) { map<Int, Int>(in, out, function); };
  // Negation wraps as two's complement does, like PyTorch's.
  const auto negated = [](Int x) { return static_cast<Int>(-static_cast<std::uint64_t>(x)); };
  if (op == "neg") return apply(negated);
  if (op == "abs") return apply([&](Int x) { return x < 0 ? negated(x) : x; });
  if (op == "sign") return apply([](Int x) { return Int{x > 0} - Int{x < 0}; });
  if (op == "relu") return apply([](Int x) { return std::max<Int>(x, 0); });
  if (op == "bitwise_not") return apply([](Int x) { return ~x; });
  map<Int, bool>(in, out, [](Int x) { return x == 0; });
}

}  // namespace
}  // namespace dense

KernelResult make_unary(const nlohmann::json& attributes) {
  AttributeReader reader("unary", attributes);
  const std::size_t operation = reader.choice("operation", dense::names);
  std::vector<float> parameters;
  const auto keep = [&](const auto& numbers) { parameters.assign(numbers.begin(), numbers.end()); };
  const std::size_t count = dense::table[operation].parameters;
  if (count == 0) keep(reader.numbers<0>("parameters"));
  if (count == 1) keep(reader.numbers<1>("parameters"));
  if (count == 2) keep(reader.numbers<2>("parameters"));
  if (count == 3) keep(reader.numbers<3>("parameters"));
  return dense::finish<dense::Unary>(reader, attributes, operation, parameters);
}

}  // namespace cosoc
