#include "kernels/zip_int16.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "kernels/attributes.hpp"
#include "kernels/check.hpp"
#include "kernels/operations.hpp"
#include "kernels/zip_integers.hpp"
#include "kernels/zip_operations.hpp"

namespace cosoc {
namespace {

constexpr std::array<std::string_view, 2> numbers = {"real", "complex"};
constexpr std::int64_t most_shift = 31;

bool fits(const TensorType& b, const TensorType& a, std::int64_t parts) {
  if (b.elements() == parts && !b.shape.empty() && b.shape.back() == parts) return true;
  return b.shape.size() <= a.shape.size() && std::equal(b.shape.rbegin(), b.shape.rend(), a.shape.rbegin());
}

}  // namespace

ZIPKind ZIPInt16Kernel::kind() const {
  const ZIPNamed& named = zip_operations[options_.operation];
  return options_.complex ? named.kind : named.real.value_or(named.kind);
}

std::optional<std::array<std::int16_t, 4>> ZIPInt16Kernel::constant() const {
  if (!options_.factor) return std::nullopt;
  const auto [re, im] = *options_.factor;
  const std::int16_t second = options_.complex ? im : re;
  return std::array<std::int16_t, 4>{re, second, re, second};
}

nlohmann::json ZIPInt16Kernel::attributes() const {
  nlohmann::json values = {{"operation", zip_names[options_.operation]},
                           {"numbers", numbers[options_.complex ? 1 : 0]},
                           {"shift", options_.shift}};
  if (options_.factor) values["factor"] = *options_.factor;
  return values;
}

Status ZIPInt16Kernel::check(std::span<const TensorType> inputs, std::span<const TensorType> outputs) const {
  TypeCheck check(name(), inputs, outputs);
  if (!check.counts(operands_of(kind()) - (options_.factor ? 1 : 0), 1)) return check.status();
  const TensorType& a = inputs[0];
  for (const TensorType& input : inputs) check.dtype(input, DType::int16);
  check.dtype(outputs[0], DType::int16);
  for (const TensorType& type : inputs) {
    check.require(!type.is_feature_map(), "tensors must not have four dimensions, which a feature map has");
  }
  check.require(!options_.complex || (!a.shape.empty() && a.shape.back() == 2),
                "complex numbers have a last dimension of 2, not " + a.describe());
  if (!check.good()) return check.status();
  if (inputs.size() > 1 && !fits(inputs[1], a, parts())) check.shape(inputs[1], a.shape);
  if (inputs.size() > 2) check.shape(inputs[2], a.shape);
  std::vector<std::int64_t> result = a.shape;
  if (is_narrow(kind())) result.pop_back();
  check.shape(outputs[0], result);
  return check.status();
}

Status ZIPInt16Kernel::run(std::span<const TensorView> inputs, std::span<const TensorView> outputs) const {
  const auto count_of = [this](const TensorView& view) {
    return static_cast<std::size_t>(view.type->elements() / parts());
  };
  const auto values = constant().value_or(std::array<std::int16_t, 4>{});
  IntegerOperands operands{.a = inputs[0].as<std::int16_t>(),
                           .b = values.data(),
                           .out = outputs[0].as<std::int16_t>(),
                           .count = count_of(inputs[0]),
                           .b_count = 1,
                           .shift = options_.shift};
  if (inputs.size() > 1) {
    operands.b = inputs[1].as<std::int16_t>();
    operands.b_count = count_of(inputs[1]);
  }
  if (inputs.size() > 2) operands.c = inputs[2].as<std::int16_t>();
  zip_integers(kind(), operands);
  return {};
}

Work ZIPInt16Kernel::work(std::span<const TensorType> inputs, std::span<const TensorType> outputs) const {
  const auto count = static_cast<std::uint64_t>(inputs[0].elements() / parts());
  Work work{(zip_operations[options_.operation].operations + 2) * count, outputs[0].bytes()};
  for (const TensorType& input : inputs) work.bytes += input.bytes();
  return work;
}

KernelResult make_zip_int16(const nlohmann::json& attributes) {
  AttributeReader reader("zip_int16", attributes);
  ZIPInt16Kernel::Options options;
  options.operation = reader.choice("operation", zip_names);
  options.complex = reader.choice("numbers", numbers) == 1;
  options.shift = static_cast<std::uint32_t>(reader.integer("shift", 0, most_shift));
  if (options.operation == zip_scale) {
    const auto factor = reader.integers<2>("factor", INT16_MIN, INT16_MAX);
    options.factor = {static_cast<std::int16_t>(factor[0]), static_cast<std::int16_t>(factor[1])};
    reader.require(options.complex || factor[1] == 0, "the factor of real numbers must be real");
  }
  reader.require(options.complex || zip_operations[options.operation].real.has_value(),
                 "the operation " + std::string(zip_names[options.operation]) + " is for complex numbers");
  if (auto status = reader.finish(); !status) return tl::unexpected(status.error());
  return std::make_shared<const ZIPInt16Kernel>(options);
}

}  // namespace cosoc
