/// A file as memory.
#pragma once

#include <cstddef>
#include <filesystem>
#include <span>

#include "device/result.hpp"

namespace cosoc {

/// The bytes of a file, read when they are used and dropped by the system when memory is short. The file must not be
/// written while it is mapped; it may be replaced or removed.
class MappedFile {
 public:
  static Result<MappedFile> open(const std::filesystem::path& path);

  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&&) = delete;
  ~MappedFile();

  std::span<const std::byte> bytes() const { return bytes_; }

 private:
  explicit MappedFile(std::span<const std::byte> bytes) : bytes_(bytes) {}

  std::span<const std::byte> bytes_;
};

}  // namespace cosoc
