#include "bundle/safetensors.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>

namespace cosoc {
namespace {

using nlohmann::json;

constexpr std::size_t length_bytes = 8;
/// The format's own limit.
constexpr std::uint64_t max_header_bytes = 100'000'000;

std::uint64_t little_endian(std::span<const std::byte> bytes) {
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < bytes.size(); ++i) value |= static_cast<std::uint64_t>(bytes[i]) << (8 * i);
  return value;
}

bool is_size(const json& value) { return value.is_number_unsigned(); }

Result<SafeTensor> read_entry(const std::string& name, const json& entry, std::span<const std::byte> data) {
  const auto malformed = [&](const std::string& what) { return failure("tensor " + name + ": " + what); };
  if (!entry.is_object() || !entry.contains("dtype") || !entry.contains("shape") || !entry.contains("data_offsets")) {
    return malformed("expected an object with dtype, shape and data_offsets");
  }
  const json& shape = entry["shape"];
  const json& offsets = entry["data_offsets"];
  if (!entry["dtype"].is_string()) return malformed("dtype must be a string");
  if (!shape.is_array() || !std::ranges::all_of(shape, is_size)) {
    return malformed("shape must be an array of integers from 0 up");
  }
  if (!offsets.is_array() || offsets.size() != 2 || !std::ranges::all_of(offsets, is_size)) {
    return malformed("data_offsets must be two integers from 0 up");
  }
  const auto begin = offsets[0].get<std::uint64_t>();
  const auto end = offsets[1].get<std::uint64_t>();
  if (begin > end || end > data.size()) {
    return malformed("data_offsets " + std::to_string(begin) + ".." + std::to_string(end) + " are not inside the " +
                     std::to_string(data.size()) + " bytes of data");
  }
  SafeTensor tensor{entry["dtype"].get<std::string>(), {}, data.subspan(begin, end - begin)};
  for (const json& length : shape) {
    if (length.get<std::uint64_t>() > std::uint64_t{1} << 40) return malformed("an axis of the shape is above 2^40");
    tensor.shape.push_back(length.get<std::int64_t>());
  }
  return tensor;
}

/// Arrays follow each other from the first byte of the data to the last.
Status check_coverage(const std::map<std::string, SafeTensor>& tensors, std::span<const std::byte> data) {
  std::vector<std::pair<std::span<const std::byte>, std::string>> parts;
  for (const auto& [name, tensor] : tensors) parts.emplace_back(tensor.bytes, name);
  std::ranges::sort(parts, [](const auto& a, const auto& b) {
    return std::pair(a.first.data(), a.first.size()) < std::pair(b.first.data(), b.first.size());
  });
  std::size_t end = 0;
  for (const auto& [bytes, name] : parts) {
    const auto begin = static_cast<std::size_t>(bytes.data() - data.data());
    if (begin != end) {
      return failure("tensor " + name + " begins at byte " + std::to_string(begin) +
                     " of the data, but the one before ends at " + std::to_string(end));
    }
    end += bytes.size();
  }
  if (end != data.size()) {
    return failure("the tensors end at byte " + std::to_string(end) + " of " + std::to_string(data.size()) +
                   " bytes of data");
  }
  return {};
}

}  // namespace

Result<std::map<std::string, SafeTensor>> read_safetensors(std::span<const std::byte> file) {
  if (file.size() < length_bytes) {
    return failure("truncated: a file has at least 8 bytes, this one " + std::to_string(file.size()));
  }
  const std::uint64_t header_bytes = little_endian(file.first(length_bytes));
  const std::size_t left = file.size() - length_bytes;
  if (header_bytes > max_header_bytes || header_bytes > left) {
    return failure("truncated or not a safetensors file: the header's length is " + std::to_string(header_bytes) +
                   " bytes, and " + std::to_string(left) + " bytes follow");
  }
  const auto* text = reinterpret_cast<const char*>(file.data()) + length_bytes;
  const json header = json::parse(text, text + header_bytes, nullptr, /*allow_exceptions=*/false);
  if (!header.is_object()) return failure("the header is not a JSON object");

  const auto data = file.subspan(length_bytes + header_bytes);
  std::map<std::string, SafeTensor> tensors;
  for (const auto& [name, entry] : header.items()) {
    if (name == "__metadata__") continue;
    auto tensor = read_entry(name, entry, data);
    if (!tensor) return tl::make_unexpected(tensor.error());
    tensors.emplace(name, *tensor);
  }
  if (auto covered = check_coverage(tensors, data); !covered) return tl::make_unexpected(covered.error());
  return tensors;
}

}  // namespace cosoc
