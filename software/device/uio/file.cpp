#include "device/uio/file.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <utility>

namespace cosoc {

Result<File> File::open(const std::filesystem::path& path, const std::string& remedy) {
  const int descriptor = ::open(path.c_str(), O_RDWR | O_CLOEXEC);
  if (descriptor >= 0) return File(descriptor);
  return failure("cannot open " + path.string() + ": " + std::strerror(errno) + "; " + remedy);
}

File::File(File&& other) noexcept : descriptor_(std::exchange(other.descriptor_, -1)) {}

File::~File() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

Result<Mapping> Mapping::make(const File& file, const std::filesystem::path& path, std::size_t bytes) {
  void* data = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file.descriptor(), 0);
  if (data != MAP_FAILED) return Mapping(std::span(static_cast<std::byte*>(data), bytes));
  return failure("cannot map " + std::to_string(bytes) + " bytes of " + path.string() + ": " + std::strerror(errno));
}

Mapping::Mapping(Mapping&& other) noexcept : bytes_(std::exchange(other.bytes_, {})) {}

Mapping::~Mapping() {
  if (!bytes_.empty()) munmap(bytes_.data(), bytes_.size());
}

Result<std::string> read_line(const std::filesystem::path& path) {
  std::ifstream stream(path);
  std::string line;
  if (!stream || !std::getline(stream, line)) return failure("cannot read " + path.string());
  return line;
}

Result<std::uint64_t> read_number(const std::filesystem::path& path) {
  const auto line = read_line(path);
  if (!line) return tl::unexpected(line.error());
  const bool hexadecimal = line->starts_with("0x");
  const char* first = line->data() + (hexadecimal ? 2 : 0);
  const char* last = line->data() + line->size();
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(first, last, value, hexadecimal ? 16 : 10);
  if (error != std::errc() || end != last) {
    return failure("expected a number in " + path.string() + ", found '" + *line + "'");
  }
  return value;
}

}  // namespace cosoc
