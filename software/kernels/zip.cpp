#include "kernels/zip.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "kernels/attributes.hpp"
#include "kernels/check.hpp"
#include "kernels/operations.hpp"
#include "kernels/zip_operations.hpp"

namespace cosoc {
namespace {

bool repeats(const TensorType& b, const TensorType& a) {
  if (b.elements() == 1) return true;
  return b.shape.size() <= a.shape.size() && std::equal(b.shape.rbegin(), b.shape.rend(), a.shape.rbegin());
}

}  // namespace

ZIPKind ZIPKernel::kind(const TensorType& a) const {
  const ZIPNamed& named = zip_operations[operation_];
  return a.dtype == DType::float32 ? named.real.value_or(named.kind) : named.kind;
}

nlohmann::json ZIPKernel::attributes() const {
  nlohmann::json values = {{"operation", zip_names[operation_]}};
  if (factor_) values["factor"] = *factor_;
  return values;
}

Status ZIPKernel::check(std::span<const TensorType> inputs, std::span<const TensorType> outputs) const {
  const ZIPNamed& named = zip_operations[operation_];
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
  Work work{zip_operations[operation_].operations * static_cast<std::uint64_t>(inputs[0].elements()),
            outputs[0].bytes()};
  for (const TensorType& input : inputs) work.bytes += input.bytes();
  return work;
}

KernelResult make_zip(const nlohmann::json& attributes) {
  AttributeReader reader("zip", attributes);
  const std::size_t operation = reader.choice("operation", zip_names);
  std::optional<std::array<float, 2>> factor;
  if (operation == zip_scale) factor = reader.numbers<2>("factor");
  if (auto status = reader.finish(); !status) return tl::unexpected(status.error());
  return std::make_shared<const ZIPKernel>(operation, factor);
}

}  // namespace cosoc
