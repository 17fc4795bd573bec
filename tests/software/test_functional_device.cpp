/// Registers, ring and time of functional accelerators, without a driver.
#include "cosoc/generated/fft.hpp"
#include "cosoc/generated/zip.hpp"
#include "software/support.hpp"

namespace cosoc::test {
namespace {

constexpr Time far = std::chrono::seconds(10);

/// A ZIP accelerator with a ring of four slots.
struct Ring {
  Ring() : platform(value_of(make_functional_platform(soc))), device(platform->accelerator(0)) {
    ring = value_of(platform->memory().allocate(4 * slot_bytes + slot_bytes));
    first = (ring.physical + slot_bytes - 1) / slot_bytes * slot_bytes;
    for (Block* block : {&a, &b, &out}) *block = value_of(platform->memory().allocate(256));
    set_up();
  }

  void set_up() {
    device.write32(page::ring_base_lo, static_cast<std::uint32_t>(first));
    device.write32(page::ring_log2, 2);
    device.write32(page::control, page::control_run | page::control_interrupt_enable);
  }

  zip::Command add(std::uint16_t tag) const {
    zip::Command command;
    command.tag = tag;
    command.interrupt = 1;
    command.length = 32;
    command.a_address = a.physical;
    command.b_address = b.physical;
    command.out_address = out.physical;
    return command;
  }

  std::byte* slot(std::uint32_t count) const { return ring.data + (first - ring.physical) + count % 4 * slot_bytes; }

  void put(std::uint32_t count, const zip::Command& command) {
    std::memset(slot(count), 0, slot_bytes);
    const auto words = command.encode();
    std::memcpy(slot(count), words.data(), sizeof(words));
  }

  CompletionRecord completion(std::uint32_t count) const {
    std::array<std::uint32_t, 4> words{};
    std::memcpy(words.data(), slot(count) + 4 * command_words, sizeof(words));
    return CompletionRecord::decode(words);
  }

  SoCDescription soc = soc_with("zip", zip_config(2));
  std::unique_ptr<SimulatedPlatform> platform;
  Device& device;
  Block ring, a, b, out;
  std::uint64_t first = 0;
};

TEST_CASE("identity and reset values") {
  Ring ring;
  CHECK(ring.device.read32(page::id) == (id_prefix | zip::kind));
  CHECK(ring.device.read32(page::version) == page_version);
  CHECK(ring.device.read32(page::layout_hash) == zip::layout_hash);
  CHECK(ring.device.read32(page::config_hash) == 7);
  CHECK(ring.device.read32(page::capability0) == 2);
  CHECK(ring.device.read32(page::capability3) == 0);
  CHECK(ring.device.read32(page::burst_beats) == 16);
  CHECK(ring.device.read32(page::window_limit_hi) == UINT32_MAX);
  ring.device.write32(page::id, 0);
  CHECK(ring.device.read32(page::id) == (id_prefix | zip::kind));
  CHECK(ring.device.read32(0x1000) == 0);
}

TEST_CASE("commands complete one after another in simulated time") {
  Ring ring;
  for (std::uint16_t i = 0; i < 4; ++i) ring.put(i, ring.add(static_cast<std::uint16_t>(100 + i)));
  ring.device.write32(page::ring_tail, 4);
  CHECK(ring.device.read32(page::status) == page::status_busy);
  CHECK(ring.device.read32(page::ring_head) == 0);
  CHECK(ring.completion(0).done == 0);

  Time before{0};
  for (std::uint32_t i = 0; i < 4; ++i) {
    REQUIRE(value_of(ring.platform->advance(far)) == std::optional<std::size_t>(0));
    CHECK(ring.platform->now() > before);
    before = ring.platform->now();
    CHECK(ring.device.read32(page::ring_head) == i + 1);
    CHECK(ring.completion(i).done == 1);
    CHECK(ring.completion(i).tag == 100 + i);
    CHECK(ring.completion(i).cycles > 0);
    CHECK(value_of(ring.platform->advance(far)) == std::optional<std::size_t>(0));  // still high
    CHECK(ring.platform->now() == before);
    ring.device.write32(page::interrupt_status, page::interrupt_status_error);  // not the bit that is set
    CHECK(ring.device.read32(page::interrupt_status) == page::interrupt_status_completion);
    ring.device.write32(page::interrupt_status, page::interrupt_status_completion);
  }
  CHECK(ring.device.read32(page::status) == 0);
  CHECK(ring.device.read32(page::beats_read_lo) == 4 * 32);
  CHECK(ring.device.read32(page::beats_written_lo) == 4 * 16);
  CHECK_FALSE(value_of(ring.platform->advance(far)));
  CHECK(ring.platform->now() == far);
  CHECK_FALSE(value_of(ring.platform->advance(Time(0))));  // time does not go back
  CHECK(ring.platform->now() == far);
}

TEST_CASE("the interrupt comes only where it is asked for and enabled") {
  Ring ring;
  auto command = ring.add(1);
  command.interrupt = 0;
  ring.put(0, command);
  ring.put(1, ring.add(2));
  ring.device.write32(page::control, page::control_run);
  ring.device.write32(page::ring_tail, 2);
  CHECK_FALSE(value_of(ring.platform->advance(far)));
  CHECK(ring.device.read32(page::ring_head) == 2);
  CHECK(ring.device.read32(page::interrupt_status) == page::interrupt_status_completion);
  ring.device.write32(page::control, page::control_run | page::control_interrupt_enable);
  CHECK(value_of(ring.platform->advance(far)) == std::optional<std::size_t>(0));
}

TEST_CASE("nothing runs before control.run, and a soft reset drops everything") {
  Ring ring;
  ring.device.write32(page::control, page::control_interrupt_enable);
  ring.put(0, ring.add(1));
  ring.device.write32(page::ring_tail, 1);
  CHECK_FALSE(value_of(ring.platform->advance(far)));
  CHECK(ring.device.read32(page::ring_head) == 0);
  ring.device.write32(page::control, page::control_run);
  CHECK(ring.device.read32(page::status) == page::status_busy);
  ring.device.write32(page::control, page::control_reset);
  CHECK((ring.device.read32(page::control) & page::control_reset) == 0);
  CHECK(ring.device.read32(page::status) == 0);
  CHECK(ring.device.read32(page::ring_tail) == 0);
  CHECK(ring.device.read32(page::ring_base_lo) == 0);
  ring.set_up();
  ring.device.write32(page::ring_tail, 1);
  CHECK(value_of(ring.platform->advance(2 * far)) == std::optional<std::size_t>(0));
}

TEST_CASE("errors of commands") {
  Ring ring;
  auto command = ring.add(9);
  command.interrupt = 0;
  std::uint8_t expected = 0;
  SECTION("opcode") {
    command.opcode = static_cast<std::uint8_t>(zip::ZIPOperation::real_multiply_add) + 1;
    expected = static_cast<std::uint8_t>(ErrorCode::bad_opcode);
  }
  SECTION("length") {
    command.length = 0;
    command.a_address += 1;  // the lowest code is told
    expected = static_cast<std::uint8_t>(ErrorCode::bad_length);
  }
  SECTION("alignment") {
    command.out_address += 8;
    expected = static_cast<std::uint8_t>(ErrorCode::misaligned);
  }
  SECTION("window") {
    ring.device.write32(page::window_limit_lo, static_cast<std::uint32_t>(ring.out.physical + 254));
    ring.device.write32(page::window_limit_hi, 0);
    expected = static_cast<std::uint8_t>(ErrorCode::outside_window);
  }
  SECTION("read outside memory") {
    command.b_address = 0;
    expected = static_cast<std::uint8_t>(ErrorCode::read_response);
  }
  SECTION("write outside memory") {
    command.out_address = ring.soc.memory_base + ring.soc.memory_bytes - 128;
    expected = static_cast<std::uint8_t>(ErrorCode::write_response);
  }
  ring.put(0, command);
  ring.put(1, ring.add(10));
  ring.device.write32(page::ring_tail, 2);
  REQUIRE(value_of(ring.platform->advance(far)) == std::optional<std::size_t>(0));
  CHECK(ring.device.read32(page::interrupt_status) == page::interrupt_status_error);
  CHECK(ring.device.read32(page::error_code) == expected);
  CHECK(ring.completion(0).error == expected);
  CHECK(ring.completion(0).tag == 9);
  // The next one runs all the same.
  ring.device.write32(page::interrupt_status, UINT32_MAX);
  ring.device.write32(page::window_limit_lo, UINT32_MAX);
  REQUIRE(value_of(ring.platform->advance(far)) == std::optional<std::size_t>(0));
  CHECK(ring.completion(1).tag == 10);
}

TEST_CASE("doorbells that cannot be are refused") {
  Ring ring;
  ring.put(0, ring.add(1));
  for (const std::uint32_t tail : {5U, UINT32_MAX}) {
    ring.device.write32(page::ring_tail, tail);
    CHECK(ring.device.read32(page::error_code) == static_cast<std::uint32_t>(ErrorCode::bad_parameter));
    CHECK(ring.device.read32(page::status) == 0);
    CHECK(value_of(ring.platform->advance(far)) == std::optional<std::size_t>(0));
    ring.device.write32(page::interrupt_status, UINT32_MAX);
  }
  ring.device.write32(page::ring_tail, 1);
  CHECK(value_of(ring.platform->advance(2 * far)) == std::optional<std::size_t>(0));
  CHECK(ring.completion(0).done == 1);
}

TEST_CASE("a ring outside memory is an error, not a crash") {
  Ring ring;
  ring.device.write32(page::ring_base_hi, 1);
  ring.device.write32(page::ring_tail, 1);
  CHECK(value_of(ring.platform->advance(far)) == std::optional<std::size_t>(0));
  CHECK(ring.device.read32(page::error_code) == static_cast<std::uint32_t>(ErrorCode::write_response));
  CHECK(ring.device.read32(page::ring_head) == 1);
}

TEST_CASE("the accelerator with the lowest index is told first") {
  SoCDescription soc = soc_with("zip", zip_config(2));
  soc.accelerators.push_back(soc.accelerators[0]);
  soc.accelerators[1].name = "zip1";
  const auto platform = value_of(make_functional_platform(soc));
  REQUIRE(platform->accelerator_count() == 2);
  Tensors tensors(platform->memory());
  const TensorType type = tensor(DType::complex64, {64});
  const std::vector<TensorView> inputs = {tensors.make(type), tensors.make(type)};
  const std::vector<TensorView> outputs = {tensors.make(type)};
  const auto zip = kernel("zip", {{"operation", "mul"}});
  const auto first = value_of(make_driver("zip", platform->accelerator(0), platform->memory()));
  const auto second = value_of(make_driver("zip", platform->accelerator(1), platform->memory()));
  require_ok(second->start(*zip, inputs, outputs));
  require_ok(first->start(*zip, inputs, {&inputs[0], 1}));
  CHECK(value_of(platform->advance(far)) == std::optional<std::size_t>(0));
  CHECK(value_of(first->service()) == true);
  CHECK(value_of(platform->advance(far)) == std::optional<std::size_t>(1));
  CHECK(value_of(second->service()) == true);
}

TEST_CASE("a parameter that is missing is named") {
  CHECK_THAT(message_of(make_functional_platform(soc_with("fft", {}))),
             Catch::Contains("'fft0' has no parameter 'max_log2'"));
  CHECK_THAT(message_of(make_functional_platform(soc_with("gpu", {}))),
             Catch::Contains("unknown kind 'gpu'; there are"));
}

}  // namespace
}  // namespace cosoc::test
