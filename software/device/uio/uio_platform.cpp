/// Mode `board`: accelerators through Linux UIO (generic-uio), memory through u-dma-buf.
///
/// Tested against directories of plain files; it has not run on a board.
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "device/platform.hpp"
#include "device/uio/file.hpp"
#include "device/uio/udmabuf_memory.hpp"

namespace cosoc {
namespace {

namespace fs = std::filesystem;

class UioDevice final : public Device {
 public:
  UioDevice(Descriptor file, SharedMapping registers) : file_(std::move(file)), registers_(std::move(registers)) {}

  std::uint32_t read32(std::uint32_t offset) override { return *at(offset); }
  void write32(std::uint32_t offset, std::uint32_t value) override { *at(offset) = value; }
  int descriptor() const { return file_.get(); }

 private:
  volatile std::uint32_t* at(std::uint32_t offset) const {
    return reinterpret_cast<volatile std::uint32_t*>(registers_.bytes().data() + offset);
  }

  Descriptor file_;
  SharedMapping registers_;
};

/// The directory /sys/class/uio/uioN of the accelerator with this name.
Result<fs::path> find_uio(const fs::path& sysfs, const std::string& name) {
  const fs::path directory = sysfs / "class" / "uio";
  std::vector<fs::path> candidates;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(directory, error)) candidates.push_back(entry.path());
  std::sort(candidates.begin(), candidates.end());
  std::string names;
  for (const fs::path& candidate : candidates) {
    const auto found = read_line(candidate / "name");
    if (!found) continue;
    if (*found == name) return candidate;
    names += (names.empty() ? "" : ", ") + *found;
  }
  return failure("no UIO device '" + name + "' in " + directory.string() +
                 ", there are: " + (names.empty() ? "none" : names) +
                 "; load the overlay that belongs to this soc.json, and the kernel " +
                 "module uio_pdrv_genirq with of_id=generic-uio");
}

Result<std::unique_ptr<UioDevice>> open_uio(const AcceleratorDescription& accelerator, const fs::path& devices,
                                            const fs::path& sysfs) {
  const auto directory = find_uio(sysfs, accelerator.name);
  if (!directory) return tl::unexpected(directory.error());
  const auto base = read_number(*directory / "maps" / "map0" / "addr");
  const auto size = read_number(*directory / "maps" / "map0" / "size");
  if (!base || !size) return tl::unexpected(base ? size.error() : base.error());
  if (*base != accelerator.base || *size < accelerator.range) {
    return failure("UIO device '" + accelerator.name + "' has " + std::to_string(*size) + " bytes of registers at " +
                   std::to_string(*base) + ", expected " + std::to_string(accelerator.range) + " at " +
                   std::to_string(accelerator.base) + "; load the overlay that belongs to this soc.json");
  }
  const fs::path path = devices / directory->filename();
  auto file = open_device(path, "the user needs read and write permission on it");
  if (!file) return tl::unexpected(file.error());
  auto registers = map_device(*file, path, accelerator.range);
  if (!registers) return tl::unexpected(registers.error());
  return std::make_unique<UioDevice>(std::move(*file), std::move(*registers));
}

class UioPlatform final : public WallClockPlatform {
 public:
  UioPlatform(std::unique_ptr<UdmabufMemory> memory, std::vector<std::unique_ptr<UioDevice>> devices)
      : memory_(std::move(memory)), devices_(std::move(devices)) {}

  DeviceMemory& memory() override { return *memory_; }
  std::size_t accelerator_count() const override { return devices_.size(); }
  Device& accelerator(std::size_t index) override { return *devices_.at(index); }

  Result<bool> wait_interrupt(std::size_t index, Time timeout) override {
    if (auto status = memory_->sync_status(); !status) return tl::unexpected(status.error());
    const int descriptor = devices_.at(index)->descriptor();
    const auto problem = [index](const char* what) {
      return failure("accelerator " + std::to_string(index) + ": cannot " + what +
                     " its UIO device: " + std::strerror(errno));
    };
    // The kernel disables the interrupt when it comes; a line that is still high comes again at once.
    const std::uint32_t enable = 1;
    if (::write(descriptor, &enable, sizeof(enable)) != sizeof(enable)) return problem("enable the interrupt of");
    pollfd request{.fd = descriptor, .events = POLLIN, .revents = 0};
    const auto whole_seconds = std::chrono::duration_cast<std::chrono::seconds>(timeout);
    const timespec limit{.tv_sec = whole_seconds.count(), .tv_nsec = (timeout - whole_seconds).count()};
    const int ready = ::ppoll(&request, 1, &limit, nullptr);
    // A signal is no interrupt of the accelerator; the caller waits again.
    if (ready == 0 || (ready < 0 && errno == EINTR)) return false;
    if (ready < 0) return problem("wait for");
    std::uint32_t count = 0;
    if (::read(descriptor, &count, sizeof(count)) != sizeof(count)) return problem("read");
    return true;
  }

 private:
  std::unique_ptr<UdmabufMemory> memory_;
  std::vector<std::unique_ptr<UioDevice>> devices_;
};

}  // namespace

Result<std::unique_ptr<WallClockPlatform>> make_uio_platform(const SoCDescription& soc, const fs::path& devices,
                                                             const fs::path& sysfs) {
  std::vector<std::unique_ptr<UioDevice>> accelerators;
  for (const AcceleratorDescription& accelerator : soc.accelerators) {
    auto device = open_uio(accelerator, devices, sysfs);
    if (!device) return tl::unexpected(device.error());
    accelerators.push_back(std::move(*device));
  }
  auto memory = UdmabufMemory::open(devices, sysfs, soc.memory_bytes);
  if (!memory) return tl::unexpected(memory.error());
  return std::make_unique<UioPlatform>(std::move(*memory), std::move(accelerators));
}

}  // namespace cosoc
