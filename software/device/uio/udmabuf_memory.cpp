#include "device/uio/udmabuf_memory.hpp"

#include <fstream>

namespace cosoc {

UdmabufMemory::UdmabufMemory(SharedMapping mapping, std::uint64_t physical, std::filesystem::path control,
                             bool coherent)
    : DeviceMemory(mapping.bytes(), physical),
      mapping_(std::move(mapping)),
      control_(std::move(control)),
      coherent_(coherent) {}

Result<std::unique_ptr<UdmabufMemory>> UdmabufMemory::open(const std::filesystem::path& devices,
                                                           const std::filesystem::path& sysfs, std::uint64_t bytes) {
  const std::filesystem::path control = sysfs / "class" / "u-dma-buf" / name;
  const auto physical = read_number(control / "phys_addr");
  const auto size = read_number(control / "size");
  if (!physical || !size) {
    return failure((physical ? size.error() : physical.error()).message +
                   "; load the module u-dma-buf and the overlay " + "of this SoC, which has a buffer '" + name + "'");
  }
  if (*size < bytes) {
    return failure("u-dma-buf '" + std::string(name) + "' has " + std::to_string(*size) + " bytes, the SoC needs " +
                   std::to_string(bytes) + "; load the overlay that belongs to this soc.json");
  }
  const std::filesystem::path path = devices / name;
  auto file = open_device(path, "the user needs read and write permission on it");
  if (!file) return tl::unexpected(file.error());
  auto mapping = map_device(*file, path, bytes);
  if (!mapping) return tl::unexpected(mapping.error());
  const auto coherent = read_number(control / "dma_coherent");
  return std::unique_ptr<UdmabufMemory>(
      new UdmabufMemory(std::move(*mapping), *physical, control, coherent.value_or(0) == 1));
}

void UdmabufMemory::sync_for_device(const Block& block) { sync(block, "sync_for_device"); }
void UdmabufMemory::sync_for_cpu(const Block& block) { sync(block, "sync_for_cpu"); }

void UdmabufMemory::sync(const Block& block, const char* file) {
  if (coherent_) return;
  // One value holds the offset in bits 63..32, the size in 31..4, direction 0 (both) in 3..2 and the request in 0.
  const std::uint64_t offset = block.physical - physical();
  const std::uint64_t size = (block.size + alignment - 1) / alignment * alignment;
  std::ofstream stream(control_ / file);
  stream << (offset << 32 | size | 1) << std::flush;
  if (!stream && problem_.empty()) {
    problem_ = "cannot write " + (control_ / file).string() + ": caches and device memory may differ; the user needs " +
               "write permission on it";
  }
}

Status UdmabufMemory::sync_status() const {
  if (!problem_.empty()) return failure(problem_);
  return {};
}

}  // namespace cosoc
