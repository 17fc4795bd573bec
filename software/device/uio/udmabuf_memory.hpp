/// Device memory from the Linux module u-dma-buf.
#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "device/memory.hpp"
#include "device/uio/file.hpp"

namespace cosoc {

/// One contiguous buffer, cached by the CPU; `sync_for_device` and `sync_for_cpu` maintain the caches unless the module
/// says that the accelerators' port is coherent.
class UdmabufMemory final : public DeviceMemory {
 public:
  /// Name of the buffer in the device tree.
  static constexpr const char* name = "cosoc-memory";

  /// Opens the buffer, which must have at least `bytes`.
  static Result<std::unique_ptr<UdmabufMemory>> open(const std::filesystem::path& devices,
                                                     const std::filesystem::path& sysfs, std::uint64_t bytes);

  void sync_for_device(const Block& block) override;
  void sync_for_cpu(const Block& block) override;

  /// Fails when one of the calls above did: what was computed since is not to be trusted.
  Status sync_status() const;

 private:
  UdmabufMemory(SharedMapping mapping, std::uint64_t physical, std::filesystem::path control, bool coherent);
  void sync(const Block& block, const char* file);

  SharedMapping mapping_;
  std::filesystem::path control_;
  bool coherent_;
  std::string problem_;
};

}  // namespace cosoc
