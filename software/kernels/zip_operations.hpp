/// The operations of bundles on elements, in float32 and in int16.
#pragma once

#include <array>
#include <optional>
#include <string_view>

#include "kernels/zip.hpp"

namespace cosoc {

struct ZIPNamed {
  std::string_view name;
  ZIPKind kind;                 // for complex operands
  std::optional<ZIPKind> real;  // for real ones
  std::uint64_t operations;     // of arithmetic, per complex element
};

inline constexpr std::array<ZIPNamed, 10> zip_operations = {{
    {"add", ZIPKind::add, ZIPKind::real_add, 2},
    {"sub", ZIPKind::sub, ZIPKind::real_sub, 2},
    {"mul", ZIPKind::mul, ZIPKind::real_mul, 6},
    {"div", ZIPKind::div, ZIPKind::real_div, 11},
    {"conjugate_mul", ZIPKind::conjugate_mul, std::nullopt, 6},
    {"multiply_add", ZIPKind::multiply_add, ZIPKind::real_multiply_add, 8},
    {"conjugate_multiply_add", ZIPKind::conjugate_multiply_add, std::nullopt, 8},
    {"magnitude_squared", ZIPKind::magnitude_squared, std::nullopt, 3},
    {"magnitude", ZIPKind::magnitude, std::nullopt, 4},
    {"scale", ZIPKind::mul, ZIPKind::real_mul, 6},
}};

/// The position of the one with a constant in place of `b`.
inline constexpr std::size_t zip_scale = zip_operations.size() - 1;

inline constexpr std::array<std::string_view, zip_operations.size()> zip_names = [] {
  std::array<std::string_view, zip_operations.size()> result;
  for (std::size_t i = 0; i < result.size(); ++i) result[i] = zip_operations[i].name;
  return result;
}();

}  // namespace cosoc
