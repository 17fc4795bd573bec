#include "kernels/zip.hpp"

#include <array>

#include "kernels/attributes.hpp"
#include "kernels/check.hpp"
#include "kernels/operations.hpp"

namespace cosoc {
namespace {

constexpr std::array<std::string_view, 5> kind_names = {"add", "sub", "mul", "div", "conjugate_mul"};
/// float32 operations per element.
constexpr std::array<std::uint64_t, 5> kind_operations = {2, 2, 6, 12, 6};

template <class Operation>
void for_each_pair(const Complex* a, const Complex* b, Complex* out, std::size_t count, const Operation& operation) {
  for (std::size_t i = 0; i < count; ++i) out[i] = canonical(operation(a[i], b[i]));
}

}  // namespace

void zip_elements(ZIPKind kind, const Complex* a, const Complex* b, Complex* out, std::size_t count) {
  switch (kind) {
    case ZIPKind::add:
      return for_each_pair(a, b, out, count, [](Complex x, Complex y) { return x + y; });
    case ZIPKind::sub:
      return for_each_pair(a, b, out, count, [](Complex x, Complex y) { return x - y; });
    case ZIPKind::mul:
      return for_each_pair(a, b, out, count, [](Complex x, Complex y) { return x * y; });
    case ZIPKind::div:
      return for_each_pair(a, b, out, count, [](Complex x, Complex y) { return x / y; });
    case ZIPKind::conjugate_mul:
      return for_each_pair(a, b, out, count, [](Complex x, Complex y) { return conjugate_product(x, y); });
  }
}

nlohmann::json ZIPKernel::attributes() const { return {{"operation", kind_names[static_cast<std::size_t>(kind_)]}}; }

Status ZIPKernel::check(std::span<const TensorType> inputs, std::span<const TensorType> outputs) const {
  TypeCheck check(name(), inputs, outputs);
  if (!check.counts(2, 1)) return check.status();
  check.dtype(inputs[0], DType::complex64);
  check.dtype(inputs[1], DType::complex64);
  check.dtype(outputs[0], DType::complex64);
  check.shape(inputs[1], inputs[0].shape);
  check.shape(outputs[0], inputs[0].shape);
  return check.status();
}

Status ZIPKernel::run(std::span<const TensorView> inputs, std::span<const TensorView> outputs) const {
  zip_elements(kind_, inputs[0].as<Complex>(), inputs[1].as<Complex>(), outputs[0].as<Complex>(),
               static_cast<std::size_t>(inputs[0].type->elements()));
  return {};
}

Work ZIPKernel::work(std::span<const TensorType> inputs, std::span<const TensorType> outputs) const {
  return {kind_operations[static_cast<std::size_t>(kind_)] * static_cast<std::uint64_t>(inputs[0].elements()),
          2 * inputs[0].bytes() + outputs[0].bytes()};
}

KernelResult make_zip(const nlohmann::json& attributes) {
  AttributeReader reader("zip", attributes);
  const std::size_t kind = reader.choice("operation", kind_names);
  if (auto status = reader.finish(); !status) return tl::unexpected(status.error());
  return std::make_shared<const ZIPKernel>(static_cast<ZIPKind>(kind));
}

}  // namespace cosoc
