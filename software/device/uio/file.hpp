/// Device files and files of sysfs.
#pragma once

#include <cstddef>
#include <filesystem>
#include <string>

#include "device/descriptor.hpp"
#include "device/result.hpp"

namespace cosoc {

/// Opens for reading and writing, or says why not and what may help.
Result<Descriptor> open_device(const std::filesystem::path& path, const std::string& remedy);
/// Maps the first bytes of an open device; the path is for the message.
Result<SharedMapping> map_device(const Descriptor& file, const std::filesystem::path& path, std::size_t bytes);

/// The first line of a small file of sysfs.
Result<std::string> read_line(const std::filesystem::path& path);
/// A number of sysfs, decimal or with 0x.
Result<std::uint64_t> read_number(const std::filesystem::path& path);

}  // namespace cosoc
