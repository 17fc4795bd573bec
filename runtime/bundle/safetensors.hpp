/// Reader of the safetensors format: named arrays in one file, without code.
///
/// 8 bytes little-endian length of a JSON header, the header {"name": {"dtype", "shape", "data_offsets": [begin,
/// end]}}, then the data, to which the offsets refer.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "device/result.hpp"

namespace cosoc {

/// One array of a file.
struct SafeTensor {
  std::string dtype;  // as the format calls it: F32, I8
  std::vector<std::int64_t> shape;
  std::span<const std::byte> bytes;  // inside the file's
};

/// Finds the arrays in the bytes of a file. Everything is checked before it is believed: lengths, offsets, that arrays
/// do not overlap, and that they cover the data without holes, as the format demands.
Result<std::map<std::string, SafeTensor>> read_safetensors(std::span<const std::byte> file);

}  // namespace cosoc
