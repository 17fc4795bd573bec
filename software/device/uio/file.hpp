/// Files and mappings of Linux that close themselves.
#pragma once

#include <cstddef>
#include <filesystem>
#include <span>
#include <string>

#include "device/result.hpp"

namespace cosoc {

/// An open file.
class File {
 public:
  /// Opens for reading and writing, or says why not and what may help.
  static Result<File> open(const std::filesystem::path& path, const std::string& remedy);

  File(File&& other) noexcept;
  File& operator=(File&&) = delete;
  ~File();

  int descriptor() const { return descriptor_; }

 private:
  explicit File(int descriptor) : descriptor_(descriptor) {}

  int descriptor_;
};

/// A shared mapping of a file's first bytes.
class Mapping {
 public:
  static Result<Mapping> make(const File& file, const std::filesystem::path& path, std::size_t bytes);

  Mapping(Mapping&& other) noexcept;
  Mapping& operator=(Mapping&&) = delete;
  ~Mapping();

  std::span<std::byte> bytes() const { return bytes_; }

 private:
  explicit Mapping(std::span<std::byte> bytes) : bytes_(bytes) {}

  std::span<std::byte> bytes_;
};

/// The first line of a small file of sysfs.
Result<std::string> read_line(const std::filesystem::path& path);
/// A number of sysfs, decimal or with 0x.
Result<std::uint64_t> read_number(const std::filesystem::path& path);

}  // namespace cosoc
