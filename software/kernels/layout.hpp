/// In which order the float32 numbers of a feature map lie.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <vector>

#include "kernels/check.hpp"

namespace cosoc {

/// The attributes of `quantize` and `dequantize`.
inline nlohmann::json layout_attributes(bool channels_last) {
  auto attributes = nlohmann::json::object();
  if (channels_last) attributes["channels_last"] = true;
  return attributes;
}

/// Requires (N, C, H, W), of one row (N, C, L), or (N, C * H * W) for a feature map (N, H, W, C); with channels last
/// the feature map's own shape, or (N, L, C) of one row.
inline void check_layout(TypeCheck& check, const std::vector<std::int64_t>& real, const std::vector<std::int64_t>& map,
                         bool channels_last) {
  check.require(real.size() != 3 || map[1] == 1, "only a feature map of one row has 3 dimensions");
  check.require(real.size() != 2 || !channels_last, "of channels_last there are 3 or 4 dimensions");
  if (!check.good()) return;
  std::vector<std::int64_t> expected = map;
  if (real.size() == 2) {
    expected = {map[0], map[1] * map[2] * map[3]};
  } else if (real.size() == 3) {
    expected = {map[0], channels_last ? map[2] : map[3], channels_last ? map[3] : map[2]};
  } else if (!channels_last) {
    expected = {map[0], map[3], map[1], map[2]};
  }
  check.require(real == expected, "the float32 tensor has another shape than the feature map");
}

}  // namespace cosoc
