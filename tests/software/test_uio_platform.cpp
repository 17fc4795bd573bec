/// The platform of a board over directories of plain files that look like /dev and /sys.
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "cosoc/generated/conv2d.hpp"
#include "software/support.hpp"

namespace cosoc::test {
namespace {

namespace fs = std::filesystem;

/// A board with one accelerator (zip0) as uio1 and a buffer of 64 KiB at 0x70000000; it vanishes with the test.
struct Board {
  explicit Board(SoCDescription described = soc_with("zip", zip_config(2)))
      : root(fs::temp_directory_path() / ("cosoc-uio-" + std::to_string(getpid()))), soc(std::move(described)) {
    soc.memory_base = 0x70000000;
    soc.memory_bytes = 65536;
    put("sys/class/uio/uio0/name", "other\n");
    put("sys/class/uio/uio1/name", soc.accelerators[0].name + "\n");
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
  SoCDescription soc;
};

/// Registers of a board's accelerator. Behind them a functional model does at once what hardware would do, in copies of
/// the board's registers and memory.
class Answering final : public Device {
 public:
  Answering(WallClockPlatform& board, const SoCDescription& soc)
      : board_(board), registers_(board.accelerator(0)), model_(value_of(make_functional_platform(soc))) {
    show();
  }
  std::uint32_t read32(std::uint32_t offset) override { return registers_.read32(offset); }
  void write32(std::uint32_t offset, std::uint32_t value) override {
    registers_.write32(offset, value);
    const auto memory = board_.memory().region();
    const auto copy = model_->memory().region();
    std::copy(memory.begin(), memory.end(), copy.begin());
    model_->accelerator(0).write32(offset, registers_.read32(offset));
    if (offset == page::ring_tail) value_of(model_->advance(model_->now() + std::chrono::seconds(1)));
    std::copy(copy.begin(), copy.end(), memory.begin());
    show();
  }

 private:
  void show() {
    for (std::uint32_t offset = 0; offset <= page::beats_written_hi; offset += 4) {
      registers_.write32(offset, model_->accelerator(0).read32(offset));
    }
  }

  WallClockPlatform& board_;
  Device& registers_;
  std::unique_ptr<SimulatedPlatform> model_;
};

/// A little-endian number in the content of a file.
template <class T>
T number_at(const std::string& content, std::size_t offset) {
  T value{};
  REQUIRE(offset + sizeof value <= content.size());
  std::memcpy(&value, content.data() + offset, sizeof value);
  return value;
}

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

TEST_CASE("the driver of Conv2D on a board") {
  const Board board(soc_with("c2d", {{"activation_bits", 8},
                                     {"input_lanes", 16},
                                     {"output_lanes", 8},
                                     {"pixel_lanes", 2},
                                     {"feature_words", 1024},
                                     {"weight_steps", 256},
                                     {"channel_blocks", 16},
                                     {"memory_ports", 1},
                                     {"memory_port_bits", 128}}));
  const auto platform = value_of(board.open());
  CHECK_THAT(message_of(make_driver("c2d", platform->accelerator(0), platform->memory())),
             Catch::Contains("found 0x11111111: no accelerator of cosoc"));
  Answering device(*platform, board.soc);
  const auto driver = value_of(make_driver("c2d", device, platform->memory()));
  CHECK((number_at<std::uint32_t>(board.get("dev/uio1"), page::control) & page::control_run) != 0);

  Random random(1);
  Tensors tensors(platform->memory());
  std::vector<TensorView> inputs = {
      tensors.make(feature_map({1, 6, 5, 12}, 1, 3)), tensors.make(feature_map({10, 3, 3, 12}), true),
      tensors.make(tensor(DType::int32, {10}), true), tensors.make(tensor(DType::float32, {10}), true)};
  random.fill(inputs[0]);
  for (std::size_t i = 0; i < inputs[1].type->bytes(); ++i) {
    inputs[1].as<std::int8_t>()[i] = static_cast<std::int8_t>(random.integer(-127, 127));
  }
  for (int i = 0; i < 10; ++i) {
    inputs[2].as<std::int32_t>()[i] = static_cast<std::int32_t>(random.integer(-3000, 3000));
    inputs[3].as<float>()[i] = random.real(1e-3F, 2e-3F);
  }
  const TensorType type = feature_map({1, 4, 3, 10}, 1, -7);
  const std::vector<TensorView> expected = {tensors.make(type)};
  const std::vector<TensorView> outputs = {tensors.make(type)};
  const auto conv = kernel(
      "conv2d",
      {{"stride", {1, 1}}, {"padding", {0, 0, 0, 0}}, {"dilation", {1, 1}}, {"groups", 1}, {"clamp", {-128, 127}}});
  run_on_cpu(*conv, inputs, expected);
  require_ok(driver->start(*conv, inputs, outputs));

  const std::string registers = board.get("dev/uio1");
  const std::string memory = board.get("dev/cosoc-memory");
  CHECK(number_at<std::uint32_t>(registers, page::ring_tail) == 1);
  CHECK(number_at<std::uint64_t>(registers, page::window_base_lo) == 0x70000000);
  CHECK(number_at<std::uint64_t>(registers, page::window_limit_lo) == 0x7000FFFF);
  const auto ring = number_at<std::uint64_t>(registers, page::ring_base_lo);
  CHECK(ring % slot_bytes == 0);
  // Opcode, tag 0 and the interrupt's flag; addresses of instructions, constants, input and output.
  const std::size_t slot = ring - 0x70000000;
  CHECK(number_at<std::uint32_t>(memory, slot) == 1U << 24);
  const auto instructions = number_at<std::uint64_t>(memory, slot + 4);
  const auto constants = number_at<std::uint64_t>(memory, slot + 16);
  CHECK((constants > 0x70000000 && constants < instructions && instructions < 0x70010000));
  CHECK(number_at<std::uint64_t>(memory, slot + 32) == inputs[0].block.physical);
  CHECK(number_at<std::uint64_t>(memory, slot + 40) == outputs[0].block.physical);

  CHECK(value_of(platform->wait_interrupt(0, std::chrono::milliseconds(1))));
  CHECK(value_of(driver->service()));
  CHECK(driver->counters().commands == 1);
  CHECK(dense(outputs[0]) == dense(expected[0]));
  CHECK_FALSE(board.get("sys/class/u-dma-buf/cosoc-memory/sync_for_cpu").empty());
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
