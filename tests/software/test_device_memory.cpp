/// Properties of the allocator of device memory.
#include <algorithm>

#include "software/support.hpp"

namespace cosoc::test {
namespace {

struct Region {
  explicit Region(std::size_t bytes) : storage(bytes), memory(storage, 0x8000'0000) {}

  std::vector<std::byte> storage;
  DeviceMemory memory;
};

TEST_CASE("blocks are aligned, zeroed, apart, and all comes back") {
  Region region(1 << 16);
  Random random(1);
  std::vector<Block> blocks;
  for (int i = 0; i < 5000; ++i) {
    if (!blocks.empty() && random.integer(0, 2) == 0) {
      const auto victim = blocks.begin() + random.integer(0, static_cast<std::int64_t>(blocks.size()) - 1);
      region.memory.release(*victim);
      CHECK_FALSE(region.memory.holds(*victim));
      blocks.erase(victim);
      continue;
    }
    const auto block = region.memory.allocate(static_cast<std::size_t>(random.integer(0, 3000)));
    if (!block) continue;
    REQUIRE(block->physical % DeviceMemory::alignment == 0);
    REQUIRE(block->data == region.storage.data() + (block->physical - 0x8000'0000));
    REQUIRE(std::all_of(block->data, block->data + block->size, [](std::byte b) { return b == std::byte{0}; }));
    for (const Block& other : blocks) {
      REQUIRE((other.physical + other.size <= block->physical || block->physical + block->size <= other.physical));
    }
    std::fill_n(block->data, block->size, std::byte{0xA5});
    blocks.push_back(*block);
    REQUIRE(region.memory.holds(*block));
  }
  for (const Block& block : blocks) region.memory.release(block);
  CHECK(region.memory.bytes_in_use() == 0);
  CHECK(region.memory.peak_bytes() > 30000);
  CHECK(region.memory.allocate(1 << 16));  // everything was merged again
}

TEST_CASE("the first gap that fits is taken") {
  Region region(1024);
  const Block a = value_of(region.memory.allocate(100));
  const Block b = value_of(region.memory.allocate(64));
  value_of(region.memory.allocate(64));
  region.memory.release(a);
  CHECK(value_of(region.memory.allocate(64)).physical == a.physical);
  CHECK(value_of(region.memory.allocate(64)).physical == a.physical + 64);
  region.memory.release(b);
  region.memory.release(b);  // a second time: nothing happens
  CHECK(value_of(region.memory.allocate(1)).physical == b.physical);
  CHECK(value_of(region.memory.allocate(1)).id != b.id);
}

TEST_CASE("short memory is told with the sizes") {
  Region region(1000);  // 960 in whole lines
  CHECK_THAT(message_of(region.memory.allocate(2000)),
             Catch::Contains("2000 bytes asked for, 960 of 960 bytes left") && Catch::Contains("use a SoC"));
  CHECK_THAT(message_of(region.memory.allocate(SIZE_MAX)), Catch::Contains("18446744073709551615 bytes asked for"));
  std::vector<Block> blocks;
  for (int i = 0; i < 15; ++i) blocks.push_back(value_of(region.memory.allocate(64)));
  CHECK_THAT(message_of(region.memory.allocate(1)), Catch::Contains("0 of 960"));
  region.memory.release(blocks[0]);
  region.memory.release(blocks[2]);
  CHECK_THAT(message_of(region.memory.allocate(100)), Catch::Contains("not in one piece"));
}

TEST_CASE("bus addresses are looked up inside the region only") {
  Region region(1024);
  CHECK(value_of(region.memory.at(0x8000'0000, 1024)).data() == region.storage.data());
  CHECK(value_of(region.memory.at(0x8000'0400, 0)).empty());
  CHECK_FALSE(region.memory.at(0x8000'0001, 1024));
  CHECK_FALSE(region.memory.at(0x7FFF'FFFF, 1));
  CHECK_FALSE(region.memory.at(0, 1));
  CHECK_FALSE(region.memory.at(UINT64_MAX, SIZE_MAX));
}

}  // namespace
}  // namespace cosoc::test
