#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "cosoc/cosoc.hpp"
#include "fuzz/targets.hpp"

namespace fuzz {

void soc(std::span<const std::uint8_t> bytes) {
  static const std::string path = "/tmp/cosoc-fuzz-" + std::to_string(::getpid()) + ".json";
  std::ofstream(path, std::ios::binary).write(reinterpret_cast<const char*>(bytes.data()), std::ssize(bytes));
  auto soc = cosoc::SoCDescription::load(path);
  if (soc && soc->accelerators.size() < 8 && soc->memory_bytes < (std::uint64_t{1} << 30)) {
    static_cast<void>(cosoc::Session::open({.mode = cosoc::Mode::model, .soc = path, .cpu_cores = 1}));
  }
  ::unlink(path.c_str());
}

}  // namespace fuzz
