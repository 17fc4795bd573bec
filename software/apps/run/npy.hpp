/// NumPy's .npy files: one dense, row-major array.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <vector>

#include "cosoc/cosoc.hpp"

/// An array on the host.
struct Array {
  cosoc::DType dtype = cosoc::DType::float32;
  std::vector<std::int64_t> shape;
  std::vector<std::byte> bytes;
};

/// Reads versions 1 to 3 of the format, little-endian and in C order, of the dtypes that tensors have.
cosoc::Result<Array> read_npy(const std::filesystem::path& path);
/// Writes version 1. The file appears under its name only when it is complete.
cosoc::Status write_npy(const std::filesystem::path& path, const Array& array);
