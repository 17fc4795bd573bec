/// The platform of a board over directories of plain files that look like /dev and /sys.
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "software/support.hpp"

namespace cosoc::test {
namespace {

namespace fs = std::filesystem;

/// A board with one accelerator zip0 as uio1 and a buffer of 64 KiB at 0x70000000; it vanishes with the test.
struct Board {
  Board() : root(fs::temp_directory_path() / ("cosoc-uio-" + std::to_string(getpid()))) {
    soc.memory_bytes = 65536;
    put("sys/class/uio/uio0/name", "other\n");
    put("sys/class/uio/uio1/name", "zip0\n");
    put("sys/class/uio/uio1/maps/map0/addr", "0x00000000a0000000\n");
    put("sys/class/uio/uio1/maps/map0/size", "0x0000000000010000\n");
    put("sys/class/u-dma-buf/cosoc-memory/phys_addr", "0x0000000070000000\n");
    put("sys/class/u-dma-buf/cosoc-memory/size", "65536\n");
    put("sys/class/u-dma-buf/cosoc-memory/dma_coherent", "0\n");
    put("sys/class/u-dma-buf/cosoc-memory/sync_for_device", "");
    put("sys/class/u-dma-buf/cosoc-memory/sync_for_cpu", "");
    put("dev/uio1", std::string(65536, '\x11'));
    put("dev/cosoc-memory", std::string(65536, '\x22'));
  }
  ~Board() { fs::remove_all(root); }

  void put(const fs::path& path, const std::string& text) const {
    fs::create_directories((root / path).parent_path());
    std::ofstream(root / path, std::ios::binary) << text;
  }
  std::string get(const fs::path& path) const {
    std::ifstream stream(root / path, std::ios::binary);
    return {std::istreambuf_iterator<char>(stream), {}};
  }
  Result<std::unique_ptr<WallClockPlatform>> open() const { return make_uio_platform(soc, root / "dev", root / "sys"); }

  fs::path root;
  SoCDescription soc = soc_with("zip", zip_config(2));
};

TEST_CASE("registers and memory of a board") {
  const Board board;
  const auto platform = value_of(board.open());
  REQUIRE(platform->accelerator_count() == 1);
  Device& device = platform->accelerator(0);
  CHECK(device.read32(page::id) == 0x11111111);
  device.write32(0x40, 0x04030201);
  CHECK(board.get("dev/uio1").substr(0x40, 4) == "\x01\x02\x03\x04");

  DeviceMemory& memory = platform->memory();
  value_of(memory.allocate(64));
  const Block block = value_of(memory.allocate(100));
  CHECK(block.physical == 0x70000040);
  block.data[0] = std::byte{0x77};
  CHECK(board.get("dev/cosoc-memory")[0x40] == 0x77);
  // Offset 0x40 above, size 0x80 and the request below.
  memory.sync_for_device(block);
  CHECK(board.get("sys/class/u-dma-buf/cosoc-memory/sync_for_device") == std::to_string((0x40ULL << 32) | 0x81));
  CHECK(board.get("sys/class/u-dma-buf/cosoc-memory/sync_for_cpu").empty());
  memory.sync_for_cpu(block);
  CHECK(board.get("sys/class/u-dma-buf/cosoc-memory/sync_for_cpu") == std::to_string((0x40ULL << 32) | 0x81));
  // A plain file is always ready, as an interrupt that came.
  CHECK(value_of(platform->wait_interrupt(0, std::chrono::milliseconds(1))));
}

TEST_CASE("coherent memory needs no synchronization, other memory cannot go without") {
  const Board board;
  const bool coherent = GENERATE(false, true);
  board.put("sys/class/u-dma-buf/cosoc-memory/dma_coherent", coherent ? "1" : "0");
  const auto platform = value_of(board.open());
  fs::remove_all(board.root / "sys/class/u-dma-buf");
  platform->memory().sync_for_device(value_of(platform->memory().allocate(64)));
  const auto waited = platform->wait_interrupt(0, std::chrono::milliseconds(1));
  CHECK(waited.has_value() == coherent);
  if (!coherent) CHECK_THAT(message_of(waited), Catch::Contains("sync_for_device") && Catch::Contains("caches"));
}

TEST_CASE("every failure to open a board is told") {
  Board board;
  const auto message = [&] { return message_of(board.open()); };
  SECTION("no such accelerator") {
    board.put("sys/class/uio/uio1/name", "fft0");
    CHECK_THAT(message(), Catch::Contains("no UIO device 'zip0'") && Catch::Contains("there are: other, fft0") &&
                              Catch::Contains("load the overlay"));
  }
  SECTION("no UIO at all") {
    fs::remove_all(board.root / "sys/class/uio");
    CHECK_THAT(message(), Catch::Contains("there are: none"));
  }
  SECTION("at another address") {
    board.put("sys/class/uio/uio1/maps/map0/addr", "0xa0010000");
    CHECK_THAT(message(), Catch::Contains("65536 bytes of registers at 2684420096, expected 65536 at 2684354560"));
  }
  SECTION("no number") {
    board.put("sys/class/uio/uio1/maps/map0/size", "many");
    CHECK_THAT(message(), Catch::Contains("expected a number in") && Catch::Contains("'many'"));
  }
  SECTION("no device file") {
    fs::remove(board.root / "dev/uio1");
    CHECK_THAT(message(), Catch::Contains("cannot open") && Catch::Contains("permission"));
  }
  SECTION("no memory") {
    fs::remove_all(board.root / "sys/class/u-dma-buf");
    CHECK_THAT(message(), Catch::Contains("phys_addr") && Catch::Contains("load the module u-dma-buf"));
  }
  SECTION("memory too small") {
    board.put("sys/class/u-dma-buf/cosoc-memory/size", "4096");
    CHECK_THAT(message(), Catch::Contains("has 4096 bytes, the SoC needs 65536"));
  }
}

}  // namespace
}  // namespace cosoc::test
