#include "device/uio/file.hpp"

#include <fcntl.h>

#include <cerrno>
#include <charconv>
#include <cstdint>
#include <cstring>
#include <fstream>

namespace cosoc {

Result<Descriptor> open_device(const std::filesystem::path& path, const std::string& remedy) {
  Descriptor file(::open(path.c_str(), O_RDWR | O_CLOEXEC));
  if (file) return file;
  return failure("cannot open " + path.string() + ": " + std::strerror(errno) + "; " + remedy);
}

Result<SharedMapping> map_device(const Descriptor& file, const std::filesystem::path& path, std::size_t bytes) {
  auto mapping = SharedMapping::of(file, bytes);
  if (mapping) return mapping;
  return failure("cannot map " + std::to_string(bytes) + " bytes of " + path.string() + ": " + std::strerror(errno));
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
