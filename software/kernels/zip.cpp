#include "kernels/zip.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "kernels/attributes.hpp"
#include "kernels/check.hpp"
#include "kernels/operations.hpp"

namespace cosoc {
namespace {

/// An operation of bundles, what it is for complex and for real operands, and its float32 operations per element.
struct Named {
  std::string_view name;
  ZIPKind kind;
  std::optional<ZIPKind> real;
  std::uint64_t operations;
};

constexpr std::array<Named, 10> table = {{
    {"add", ZIPKind::add, ZIPKind::real_add, 2},
    {"sub", ZIPKind::sub, ZIPKind::real_sub, 2},
    {"mul", ZIPKind::mul, ZIPKind::real_mul, 6},
    {"div", ZIPKind::div, ZIPKind::real_div, 11},
    {"conjugate_mul", ZIPKind::conjugate_mul, std::nullopt, 6},
    {"multiply_add", ZIPKind::multiply_add, std::nullopt, 8},
    {"conjugate_multiply_add", ZIPKind::conjugate_multiply_add, std::nullopt, 8},
    {"magnitude_squared", ZIPKind::magnitude_squared, std::nullopt, 3},
    {"magnitude", ZIPKind::magnitude, std::nullopt, 4},
    {"scale", ZIPKind::mul, ZIPKind::real_mul, 6},
}};
constexpr std::size_t scale = table.size() - 1;

constexpr std::array<std::string_view, table.size()> names = [] {
  std::array<std::string_view, table.size()> result;
  for (std::size_t i = 0; i < table.size(); ++i) result[i] = table[i].name;
  return result;
}();

bool repeats(const TensorType& b, const TensorType& a) {
  if (b.elements() == 1) return true;
  return b.shape.size() <= a.shape.size() && std::equal(b.shape.rbegin(), b.shape.rend(), a.shape.rbegin());
}

}  // namespace

ZIPKind ZIPKernel::kind(const TensorType& a) const {
  const Named& named = table[operation_];
  return a.dtype == DType::float32 ? named.real.value_or(named.kind) : named.kind;
}

nlohmann::json ZIPKernel::attributes() const {
  nlohmann::json values = {{"operation", names[operation_]}};
  if (factor_) values["factor"] = *factor_;
  return values;
}

Status ZIPKernel::check(std::span<const TensorType> inputs, std::span<const TensorType> outputs) const {
  const Named& named = table[operation_];
  TypeCheck check(name(), inputs, outputs);
  if (!check.counts(operands_of(named.kind) - (factor_ ? 1 : 0), 1)) return check.status();
  const TensorType& a = inputs[0];
  const bool real = a.dtype == DType::float32 && named.real;
  check.dtype(a, real ? DType::float32 : DType::complex64);
  for (const TensorType& input : inputs.subspan(1)) check.dtype(input, a.dtype);
  if (inputs.size() > 1 && !repeats(inputs[1], a)) check.shape(inputs[1], a.shape);
  if (inputs.size() > 2) check.shape(inputs[2], a.shape);
  if (factor_ && real) check.require((*factor_)[1] == 0.0F, "the factor of real numbers must be real");
  check.dtype(outputs[0], real || is_narrow(named.kind) ? DType::float32 : DType::complex64);
  check.shape(outputs[0], a.shape);
  return check.status();
}

Status ZIPKernel::run(std::span<const TensorView> inputs, std::span<const TensorView> outputs) const {
  ZIPOperands operands;
  operands.a = inputs[0].as<float>();
  operands.count = static_cast<std::size_t>(inputs[0].type->elements());
  if (factor_) {
    operands.b = factor_->data();
    operands.b_count = 1;
  } else if (inputs.size() > 1) {
    operands.b = inputs[1].as<float>();
    operands.b_count = static_cast<std::size_t>(inputs[1].type->elements());
  }
  if (inputs.size() > 2) operands.c = inputs[2].as<float>();
  operands.out = outputs[0].as<float>();
  zip_elements(kind(*inputs[0].type), operands);
  return {};
}

Work ZIPKernel::work(std::span<const TensorType> inputs, std::span<const TensorType> outputs) const {
  Work work{table[operation_].operations * static_cast<std::uint64_t>(inputs[0].elements()), outputs[0].bytes()};
  for (const TensorType& input : inputs) work.bytes += input.bytes();
  return work;
}

KernelResult make_zip(const nlohmann::json& attributes) {
  AttributeReader reader("zip", attributes);
  const std::size_t operation = reader.choice("operation", names);
  std::optional<std::array<float, 2>> factor;
  if (operation == scale) factor = reader.numbers<2>("factor");
  if (auto status = reader.finish(); !status) return tl::unexpected(status.error());
  return std::make_shared<const ZIPKernel>(operation, factor);
}

}  // namespace cosoc
