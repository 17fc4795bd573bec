#include "kernels/fft_multiply.hpp"

#include <algorithm>
#include <array>

#include "kernels/attributes.hpp"
#include "kernels/check.hpp"
#include "kernels/operations.hpp"
#include "kernels/zip.hpp"

namespace cosoc {
namespace {

constexpr std::array<std::string_view, 2> products = {"mul", "conjugate_mul"};
constexpr std::uint64_t product_operations = 6;

}  // namespace

nlohmann::json FFTMultiplyKernel::attributes() const {
  nlohmann::json values = transform_.attributes();
  values["operation"] = products[conjugate_ ? 1 : 0];
  return values;
}

Status FFTMultiplyKernel::check(std::span<const TensorType> inputs, std::span<const TensorType> outputs) const {
  TypeCheck check(name(), inputs, outputs);
  if (!check.counts(2, 1)) return check.status();
  if (auto status = transform_.check(inputs.first(1), outputs); !status) return status;
  const TensorType& b = inputs[1];
  check.dtype(b, DType::complex64);
  const auto& shape = inputs[0].shape;
  const bool fits = b.shape.size() <= shape.size() && std::equal(b.shape.rbegin(), b.shape.rend(), shape.rbegin());
  if (b.shape.empty() || !fits) check.shape(b, shape);
  return check.status();
}

Status FFTMultiplyKernel::run(std::span<const TensorView> inputs, std::span<const TensorView> outputs) const {
  if (auto status = transform_.run(inputs.first(1), outputs); !status) return status;
  zip_elements(conjugate_ ? ZIPKind::conjugate_mul : ZIPKind::mul,
               {.a = outputs[0].as<float>(),
                .b = inputs[1].as<float>(),
                .out = outputs[0].as<float>(),
                .count = static_cast<std::size_t>(inputs[0].type->elements()),
                .b_count = static_cast<std::size_t>(inputs[1].type->elements())});
  return {};
}

Work FFTMultiplyKernel::work(std::span<const TensorType> inputs, std::span<const TensorType> outputs) const {
  Work work = transform_.work(inputs.first(1), outputs);
  work.operations += product_operations * static_cast<std::uint64_t>(inputs[0].elements());
  work.bytes += inputs[1].bytes();
  return work;
}

KernelResult make_fft_multiply(const nlohmann::json& attributes) {
  AttributeReader reader("fft_multiply", attributes);
  const FFTOptions options = read_fft_options(reader);
  const bool conjugate = reader.choice("operation", products) == 1;
  if (auto status = reader.finish(); !status) return tl::unexpected(status.error());
  return std::make_shared<const FFTMultiplyKernel>(options, conjugate);
}

}  // namespace cosoc
