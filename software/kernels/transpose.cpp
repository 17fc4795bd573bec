/// Transpose of a complex matrix.
#include <algorithm>
#include <nlohmann/json.hpp>

#include "kernels/arithmetic.hpp"
#include "kernels/attributes.hpp"
#include "kernels/check.hpp"
#include "kernels/operations.hpp"

namespace cosoc {
namespace {

class Transpose final : public Kernel {
 public:
  std::string_view name() const override { return "transpose"; }
  nlohmann::json attributes() const override { return nlohmann::json::object(); }

  Status check(std::span<const TensorType> inputs, std::span<const TensorType> outputs) const override {
    TypeCheck check(name(), inputs, outputs);
    if (!check.counts(1, 1)) return check.status();
    check.dtype(inputs[0], DType::complex64);
    check.rank(inputs[0], {2});
    check.dtype(outputs[0], DType::complex64);
    if (check.good()) check.shape(outputs[0], {inputs[0].shape[1], inputs[0].shape[0]});
    return check.status();
  }

  Status run(std::span<const TensorView> inputs, std::span<const TensorView> outputs) const override {
    // Tiles of 8 x 8 elements: one cache line of 64 bytes per row and per column.
    constexpr std::size_t tile = 8;
    const auto rows = static_cast<std::size_t>(inputs[0].type->shape[0]);
    const auto columns = static_cast<std::size_t>(inputs[0].type->shape[1]);
    const auto* in = inputs[0].as<Complex>();
    auto* out = outputs[0].as<Complex>();
    for (std::size_t top = 0; top < rows; top += tile) {
      for (std::size_t left = 0; left < columns; left += tile) {
        for (std::size_t row = top; row < std::min(top + tile, rows); ++row) {
          for (std::size_t column = left; column < std::min(left + tile, columns); ++column) {
            out[column * rows + row] = in[row * columns + column];
          }
        }
      }
    }
    return {};
  }

  Work work(std::span<const TensorType> inputs, std::span<const TensorType> outputs) const override {
    // A cache line per element in one of the two directions.
    return {static_cast<std::uint64_t>(inputs[0].elements()), inputs[0].bytes() + outputs[0].bytes(), 0.25};
  }
};

}  // namespace

KernelResult make_transpose(const nlohmann::json& attributes) {
  if (auto status = AttributeReader("transpose", attributes).finish(); !status) return tl::unexpected(status.error());
  return std::make_shared<const Transpose>();
}

}  // namespace cosoc
