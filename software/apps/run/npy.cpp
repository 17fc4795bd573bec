#include "npy.hpp"

#include <algorithm>
#include <array>
#include <fstream>
#include <iterator>
#include <regex>
#include <string>

namespace {

using cosoc::DType;
using cosoc::failure;
using cosoc::Result;

constexpr std::string_view magic("\x93NUMPY", 6);

struct Descriptor {
  std::string_view name;
  DType dtype;
};

constexpr std::array<Descriptor, 5> descriptors = {{{"<f4", DType::float32},
                                                    {"|i1", DType::int8},
                                                    {"<i2", DType::int16},
                                                    {"<i4", DType::int32},
                                                    {"<c8", DType::complex64}}};

/// Where the header's text lies in a file, and where the data begins.
struct Header {
  std::string text;
  std::size_t end = 0;
};

Result<Header> find_header(const std::string& file) {
  if (file.size() < 12 || !file.starts_with(magic)) return failure("not a .npy file");
  // Version 1 has a length of 2 bytes, later ones of 4.
  const std::size_t length_bytes = file[6] == 1 ? 2 : 4;
  std::size_t length = 0;
  for (std::size_t i = 0; i < length_bytes; ++i)
    length |= std::size_t{static_cast<unsigned char>(file[8 + i])} << (8 * i);
  const std::size_t begin = 8 + length_bytes;
  if (length > file.size() - begin) return failure("truncated in its header");
  return Header{file.substr(begin, length), begin + length};
}

Result<Array> parse_header(const std::string& text) {
  static const std::regex pattern(
      R"(\{'descr': '([^']*)', 'fortran_order': (True|False), 'shape': \(([0-9, ]*)\),? *\}\s*)");
  std::smatch match;
  if (text.size() > 1000 || !std::regex_match(text, match, pattern))
    return failure("a header that NumPy does not write: " + text.substr(0, 80));
  const auto* const found = std::ranges::find(descriptors, match[1].str(), &Descriptor::name);
  if (found == descriptors.end()) {
    return failure("dtype " + match[1].str() + "; expected little-endian float32, int8, int16, int32 or complex64");
  }
  if (match[2] == "True") return failure("Fortran order; save it with numpy.ascontiguousarray");
  Array array{found->dtype, {}, {}};
  const std::string shape = match[3];
  static const std::regex number("[0-9]+");
  for (std::sregex_iterator item(shape.begin(), shape.end(), number), end; item != end; ++item) {
    if (item->length() > 10) return failure("an axis of length " + item->str());
    array.shape.push_back(std::stoll(item->str()));
  }
  return array;
}

/// Whether the data of this size is what the shape says; safe against overflow.
bool has_size(const Array& array, std::size_t bytes) {
  std::size_t expected = cosoc::size_of(array.dtype);
  for (const std::int64_t length : array.shape) {
    if (length == 0) return bytes == 0;
    if (expected > bytes / static_cast<std::size_t>(length)) return false;
    expected *= static_cast<std::size_t>(length);
  }
  return expected == bytes;
}

}  // namespace

Result<Array> read_npy(const std::filesystem::path& path) {
  std::ifstream stream(path, std::ios::binary);
  const std::string file{std::istreambuf_iterator<char>(stream), {}};
  if (!stream) return failure(path.string() + ": cannot be read");
  const auto header = find_header(file);
  if (!header) return failure(path.string() + ": " + header.error().message);
  auto array = parse_header(header->text);
  if (!array) return failure(path.string() + ": " + array.error().message);
  if (!has_size(*array, file.size() - header->end)) {
    return failure(path.string() + ": its " + std::to_string(file.size() - header->end) +
                   " bytes of data are not what its shape says; it is truncated or damaged");
  }
  const auto* data = reinterpret_cast<const std::byte*>(file.data());
  array->bytes.assign(data + header->end, data + file.size());
  return array;
}

cosoc::Status write_npy(const std::filesystem::path& path, const Array& array) {
  std::string header = "{'descr': '";
  header += std::ranges::find(descriptors, array.dtype, &Descriptor::dtype)->name;
  header += "', 'fortran_order': False, 'shape': (";
  for (const std::int64_t length : array.shape) header += std::to_string(length) + ",";
  header += "), }";
  // The data begins at a multiple of 64 bytes, after a line end.
  header.append((64 - (10 + header.size() + 1) % 64) % 64, ' ');
  header += '\n';

  std::filesystem::path partial = path;
  partial += ".part";
  std::ofstream stream(partial, std::ios::binary);
  stream << magic << '\x01' << '\x00' << static_cast<char>(header.size() & 0xFF)
         << static_cast<char>(header.size() >> 8);
  stream << header;
  stream.write(reinterpret_cast<const char*>(array.bytes.data()), static_cast<std::streamsize>(array.bytes.size()));
  stream.close();
  std::error_code error;
  if (stream) std::filesystem::rename(partial, path, error);
  if (!stream || error) {
    std::filesystem::remove(partial, error);
    return failure(path.string() + ": cannot be written");
  }
  return {};
}
