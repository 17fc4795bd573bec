/// Errors of Conv2D commands and programs, and the model that accelerators use.
#include "device/cycles.hpp"
#include "drivers/conv2d/model.hpp"
#include "software/conv2d_programs.hpp"

namespace cosoc::conv2d::test {
namespace {

const Config config = config_of(4, 8, 2);

template <class Fields>
ErrorCode error_of(const Fields& instruction, const Config& used = config) {
  return Engine(used).run(Program(instruction));
}

TEST_CASE("fields that must not be zero, and their limits") {
  const auto refused = [](auto good, auto... members) {
    CHECK(error_of(good) == ErrorCode::none);
    (
        [&] {
          auto bad = good;
          bad.*members = 0;
          CHECK(error_of(bad) == ErrorCode::bad_parameter);
        }(),
        ...);
  };
  using isa::Compute, isa::Geometry, isa::Load, isa::Store;
  refused(row(0, 1), &Load::rows, &Load::columns, &Load::words);
  refused(isa::Weights{.steps = 1}, &isa::Weights::steps);
  refused(isa::Channels{.blocks = 1}, &isa::Channels::blocks);
  refused(one_word(), &isa::Micro::count);
  refused(one_pixel(), &Geometry::stride_rows, &Geometry::stride_columns, &Geometry::out_columns);
  refused(dump(0, 1), &Store::rows, &Store::columns, &Store::words, &Store::window_rows, &Store::window_columns,
          &Store::stride_rows, &Store::stride_columns, &Store::in_rows, &Store::in_columns);
  refused(compute(0, 0), &Compute::pixels, &Compute::blocks, &Compute::micro_count);

  isa::Micro micro = one_word();
  micro.count = 4;
  CHECK(error_of(micro) == ErrorCode::none);
  micro.count = 5;
  CHECK(error_of(micro) == ErrorCode::bad_parameter);
  Geometry geometry = one_pixel();
  geometry.phases_log2 = 1;
  CHECK(error_of(geometry) == ErrorCode::none);
  geometry.phases_log2 = 2;
  CHECK(error_of(geometry) == ErrorCode::bad_parameter);
  CHECK(error_of(geometry, config_of(4, 8, 4)) == ErrorCode::none);
  Geometry window = one_pixel();
  window.window = 1;
  CHECK(error_of(window) == ErrorCode::none);
  for (const auto member : {&Geometry::stride_rows, &Geometry::stride_columns, &Geometry::phases_log2}) {
    Geometry bad = window;
    ++(bad.*member);
    CHECK(error_of(bad) == ErrorCode::bad_parameter);
    bad.window = 0;
    CHECK(error_of(bad) == ErrorCode::none);
  }
  Compute parts = compute(0, 0);
  parts.out_part = 1;
  CHECK(error_of(parts) == ErrorCode::none);
  CHECK(error_of(parts, config_of(4, 16, 2)) == ErrorCode::bad_parameter);
  CHECK(error_of(parts, config_of(4, 8, 2, 16)) == ErrorCode::bad_parameter);
  parts.out_part = 2;
  CHECK(error_of(parts) == ErrorCode::bad_parameter);
}

TEST_CASE("folding has limits of its own") {
  isa::Load fold = row(0, 4);
  const auto check = [&](std::uint8_t channels, std::uint8_t stride, std::uint8_t words) {
    fold.fold_channels = channels;
    fold.fold_stride = stride;
    fold.words = words;
    return error_of(fold);
  };
  CHECK(check(4, 1, 1) == ErrorCode::none);
  CHECK(check(5, 1, 1) == ErrorCode::bad_parameter);
  CHECK(check(1, 0, 1) == ErrorCode::bad_parameter);
  CHECK(check(1, 1, 2) == ErrorCode::bad_parameter);
  CHECK(check(0, 0, 2) == ErrorCode::none);
  for (std::uint8_t channels = 0; channels <= 4; ++channels) {
    for (std::uint8_t skip = 0; skip <= 3; ++skip) {
      const bool good = channels == 0 || skip == 0 || (channels == 3 && skip < 3);
      for (std::uint8_t isa::Load::*field : {&isa::Load::fold_skip, &isa::Load::twin_skip}) {
        CAPTURE(channels, skip);
        fold.*field = skip;
        CHECK((check(channels, 1, 1) == ErrorCode::none) == good);
        fold.*field = 0;
      }
    }
  }
  for (std::uint8_t twin = 0; twin <= 7; ++twin) {
    fold.twin = twin;
    CAPTURE(twin);
    CHECK((check(2, 4, 1) == ErrorCode::none) == (twin < 4));
    CHECK(check(0, 0, 1) == ErrorCode::none);
  }
}

TEST_CASE("a bad instruction ends its command; what stands before it is executed") {
  Engine engine(config);
  fill(engine, 0, 4 * word_bytes);
  for (std::uint32_t opcode = 8; opcode < 16; ++opcode) {
    std::memset(engine.at(1), 0, 4 * word_bytes);
    isa::Store next = dump(1, 1);
    next.offset = 1;
    Program program(row(0, 4), dump(0, 1), row(0, 1), next);
    program[2][0] = opcode;
    CHECK(engine.run(program) == ErrorCode::bad_opcode);
    CHECK(bytes_of(engine, 1, 0) == bytes_of(engine, 0, 0));
    CHECK(bytes_of(engine, 1, 1) == std::vector<std::int8_t>(word_bytes, 0));
    CHECK(engine.machine.executed().size() == 2 * isa::instruction_words);
  }
  CHECK(engine.run(Program(dump(1, 1))) == ErrorCode::none);  // the engine stays usable
  CHECK(bytes_of(engine, 1, 0) == bytes_of(engine, 0, 1));
}

TEST_CASE("commands that are refused") {
  Engine engine(config);
  const Program program(row(0, 1));
  const auto refused = [&](auto change) {
    Command command = engine.command(program);
    change(command);
    return engine.run(program, command);
  };
  CHECK(refused([](Command&) {}) == ErrorCode::none);
  CHECK(refused([](Command& c) { c.opcode = 1; }) == ErrorCode::bad_opcode);
  CHECK(refused([](Command& c) { c.instruction_count = 0; }) == ErrorCode::bad_length);
  CHECK(refused([](Command& c) { c.instruction_address += 8; }) == ErrorCode::misaligned);
  CHECK(refused([](Command& c) { c.instruction_address += 16; }) != ErrorCode::misaligned);
  CHECK(refused([](Command& c) { c.base0 += 1; }) == ErrorCode::misaligned);
  CHECK(refused([](Command& c) { c.base7 += 4; }) == ErrorCode::misaligned);
}

TEST_CASE("transfers outside the window read zeros and write nothing") {
  Engine engine(config);
  fill(engine, 0, 8 * word_bytes);
  // The window ends with a program of two instructions.
  const std::uint64_t limit = engine.base(7) + 2 * isa::instruction_bytes - 1;
  std::memcpy(engine.at(7) - word_bytes, engine.at(0) + 3 * word_bytes, word_bytes);
  // Two pixels with a gap: the last word before the program, and one in its second instruction.
  isa::Load load{.base = 6,
                 .offset = Engine::region / word_bytes - 1,
                 .rows = 1,
                 .columns = 2,
                 .words = 1,
                 .row_pitch = 8,
                 .pixel_pitch = 3};
  Program program(load, dump(0, 2));
  REQUIRE(engine.run(program, engine.command(program), limit) == ErrorCode::none);
  CHECK(engine.transfer_error == ErrorCode::none);
  CHECK(bytes_of(engine, 1, 0) == bytes_of(engine, 0, 3));
  CHECK(bytes_of(engine, 1, 1) == bytes_of(engine, 7, 2));

  load.pixel_pitch = 5;
  Program partly(load, dump(0, 2));
  REQUIRE(engine.run(partly, engine.command(partly), limit) == ErrorCode::none);
  CHECK(engine.transfer_error == ErrorCode::outside_window);
  CHECK(bytes_of(engine, 1, 0) == bytes_of(engine, 0, 3));
  CHECK(bytes_of(engine, 1, 1) == std::vector<std::int8_t>(word_bytes, 0));

  isa::Store store = dump(0, 1);
  store.base = 7;
  store.offset = 6;
  Program stores(row(0, 1), store);
  engine.at(7)[6 * word_bytes] = 77;
  REQUIRE(engine.run(stores, engine.command(stores), limit) == ErrorCode::none);
  CHECK(engine.transfer_error == ErrorCode::outside_window);
  CHECK(engine.at(7)[6 * word_bytes] == 77);

  // A program outside the window reads as zeros: no instruction is all zeros.
  CHECK(engine.run(program, engine.command(program), engine.base(6)) == ErrorCode::bad_parameter);
  CHECK(engine.transfer_error == ErrorCode::outside_window);
}

TEST_CASE("programs longer than a transfer of instructions") {
  Engine engine(config);
  fill(engine, 0, 200 * word_bytes);
  Program program;
  for (std::uint16_t i = 0; i < 150; ++i) {
    isa::Load load = row(i, 1);
    load.offset = 199U - i;
    program.add(load);
  }
  program.add(dump(0, 150));
  REQUIRE(engine.run(program) == ErrorCode::none);
  for (std::size_t i = 0; i < 150; ++i) CHECK(bytes_of(engine, 1, i) == bytes_of(engine, 0, 199 - i));
  CHECK(engine.machine.executed().size() == program.words().size());
  CHECK(std::equal(program.words().begin(), program.words().end(), engine.machine.executed().begin()));
}

TEST_CASE("the model of an accelerator decodes commands, and takes the time that it is told") {
  std::vector<std::byte> bytes(4096);
  const DeviceMemory memory(bytes, 0);
  isa::Micro micro = one_word();
  micro.words0 = 9;
  isa::Compute work = compute(0, 100);
  work.pixels = 7;
  work.blocks = 3;
  Program program(micro, one_pixel(), plain(), work, row(0, 1));
  std::memcpy(bytes.data() + 1024, program.words().data(), 4 * program.words().size());
  const Command command{.instruction_address = 1024, .instruction_count = program.count()};

  Conv2DModel model(config);
  const auto execute = [&](std::uint64_t limit, std::uint64_t latency = 45) {
    CommandMemory window(memory, 0, limit, latency);
    return model.execute(command.encode(), window);
  };
  const Execution done = execute(4095);
  CHECK(done.error == ErrorCode::none);
  const std::uint64_t array = 3 * 4 * 9 * 4;  // blocks, groups, words, steps of a word
  CHECK(done.cycles > array);
  CHECK(done.cycles < array + 1000);
  // It waits three times: for the command, for its instructions, and for the answer to the completion.
  CHECK(execute(4095, 145).cycles == done.cycles + 300);
  CHECK(execute(100).cycles == refused_cycles);
  // The error of the transfer explains that of the instruction.
  CHECK(execute(100).error == ErrorCode::outside_window);
}

}  // namespace
}  // namespace cosoc::conv2d::test
