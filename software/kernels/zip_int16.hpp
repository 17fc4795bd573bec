/// Element-wise arithmetic on int16 numbers, as samples come from converters.
#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "kernels/kernel.hpp"
#include "kernels/zip.hpp"

namespace cosoc {

/// Operation `zip_int16`: the arithmetic of docs/zip.md on int16 tensors, real, or complex with a last dimension of
/// two, (re, im). `b` has the shape of `a`, or of its last dimensions, or is one number.
class ZIPInt16Kernel final : public Kernel {
 public:
  struct Options {
    std::size_t operation = 0;  // its position in `zip_operations`
    bool complex = true;
    std::uint32_t shift = 0;  // bits by which results go to the right, quotients to the left, rounded
    std::optional<std::array<std::int16_t, 2>> factor{};  // in place of `b`
  };

  explicit ZIPInt16Kernel(const Options& options) : options_(options) {}

  ZIPKind kind() const;
  std::uint32_t shift() const { return options_.shift; }
  /// A constant `b` as eight bytes hold it, again and again.
  std::optional<std::array<std::int16_t, 4>> constant() const;
  /// int16 values of a number.
  std::int64_t parts() const { return options_.complex ? 2 : 1; }

  std::string_view name() const override { return "zip_int16"; }
  nlohmann::json attributes() const override;
  Status check(std::span<const TensorType> inputs, std::span<const TensorType> outputs) const override;
  Status run(std::span<const TensorView> inputs, std::span<const TensorView> outputs) const override;
  Work work(std::span<const TensorType> inputs, std::span<const TensorType> outputs) const override;

 private:
  Options options_;
};

}  // namespace cosoc
