#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <string>

#include "cosoc/cosoc.hpp"
#include "fuzz/targets.hpp"

namespace fuzz {
namespace {

void write(const std::filesystem::path& path, std::span<const std::uint8_t> bytes) {
  std::ofstream(path, std::ios::binary).write(reinterpret_cast<const char*>(bytes.data()), std::ssize(bytes));
}

}  // namespace

void bundle(std::span<const std::uint8_t> bytes) {
  static const std::filesystem::path folder = [] {
    const char* fast = std::filesystem::exists("/dev/shm") ? "/dev/shm" : "/tmp";
    auto path = std::filesystem::path(fast) / ("cosoc-fuzz-" + std::to_string(::getpid()));
    std::filesystem::create_directories(path);
    static const struct Remover {
      std::filesystem::path path;
      ~Remover() { std::filesystem::remove_all(path); }
    } remover{path};
    return path;
  }();
  const auto split = static_cast<std::size_t>(std::ranges::find(bytes, std::uint8_t{0}) - bytes.begin());
  write(folder / "graph.json", bytes.first(split));
  write(folder / "weights.safetensors", bytes.subspan(std::min(split + 1, bytes.size())));
  auto loaded = cosoc::load_bundle(folder);
  if (!loaded) return;
  // Whatever is accepted must be planned, or refused, without harm.
  auto session = cosoc::Session::open({.memory_bytes = 1 << 20, .cpu_cores = 1});
  if (session) static_cast<void>(session->load(std::move(*loaded)));
}

}  // namespace fuzz
