/// The checker of Conv2D programs: right programs pass, and every kind of wrong one is told.
#include "drivers/conv2d/program_checker.hpp"
#include "software/conv2d_layer.hpp"

namespace cosoc::conv2d::test {
namespace {

using Catch::Matchers::Contains;

const Config config = config_of(4, 4, 2);

/// A program with one wait changed is found out; `told` is part of the message.
class Stream {
 public:
  explicit Stream(const Config& used = config) : checker_(used) {}

  /// The message, or nothing.
  std::string check(Program program) {
    Command command;
    command.instruction_count = program.count();
    command.base1 = 0x10000;
    command.base2 = 0x20000;
    command.base3 = 0x30000;
    const auto result = checker_.check(command, program.words());
    return result ? "" : result.error().message;
  }
  void complete() { checker_.complete(); }

 private:
  ProgramChecker checker_;
};

// A layer in which everything is one: one pixel, one word, one block.
isa::Load load_word(std::uint16_t address) {
  return {.rows = 1, .columns = 1, .words = 1, .row_pitch = 1, .pixel_pitch = 1, .address = address};
}
isa::Weights load_weights(std::uint16_t address) { return {.base = 2, .steps = 4, .address = address}; }
isa::Channels load_channels(std::uint16_t address) { return {.base = 3, .blocks = 1, .address = address}; }
isa::Micro micro(std::uint16_t address = 0) { return {.address = address, .count = 1, .words0 = 1}; }
isa::Geometry geometry() {
  return {.rows = 1,
          .columns = 1,
          .stride_rows = 1,
          .stride_columns = 1,
          .out_columns = 1,
          .group_rows = 2,
          .group_step = 2};
}
isa::Output output() { return {.group_step = 2, .clamp_min = -128, .clamp_max = 127}; }
isa::Compute compute(std::uint16_t in_address, std::uint16_t out_address) {
  return {.in_address = in_address, .out_address = out_address, .pixels = 1, .blocks = 1, .micro_count = 1};
}
isa::Store store_word(std::uint16_t address) {
  return {.base = 1,
          .rows = 1,
          .columns = 1,
          .words = 1,
          .row_pitch = 1,
          .pixel_pitch = 1,
          .address = address,
          .window_rows = 1,
          .window_columns = 1,
          .stride_rows = 1,
          .stride_columns = 1,
          .in_rows = 1,
          .in_columns = 1};
}
/// The same instruction with waits for LOAD, WEIGHTS, COMPUTE, STORE.
template <class Fields>
Fields after(Fields fields, std::uint8_t load, std::uint8_t weights = isa::no_wait, std::uint8_t compute = isa::no_wait,
             std::uint8_t store = isa::no_wait) {
  fields.wait_load = load;
  fields.wait_weights = weights;
  fields.wait_compute = compute;
  fields.wait_store = store;
  return fields;
}
constexpr std::uint8_t no = isa::no_wait;

/// Input at word 0, everything loaded and set.
Program prologue() { return Program(load_word(0), load_weights(0), load_channels(0), micro(), geometry(), output()); }

TEST_CASE("a layer's waits are all needed, and enough") {
  Program good = prologue();
  good.add(after(compute(0, 1), 0, 0)).add(after(store_word(1), no, no, 0));
  CHECK(Stream().check(good) == "");

  Program without_load = prologue();
  without_load.add(after(compute(0, 1), no, 0));
  CHECK_THAT(Stream().check(without_load), Contains("instruction 6 (COMPUTE) reads word 0 of the feature buffer") &&
                                               Contains("needs wait_load of at most 0"));
  Program without_weights = prologue();
  without_weights.add(after(compute(0, 1), 0, no));
  CHECK_THAT(Stream().check(without_weights), Contains("word 0 of the weight buffer") && Contains("wait_weights"));
  Program without_channels = prologue();  // all but the last are finished: the channel parameters may not be
  without_channels.add(after(compute(0, 1), 0, 1));
  CHECK_THAT(Stream().check(without_channels),
             Contains("word 0 of the channel buffer") && Contains("wait_weights of at most 0"));
  Program without_compute = prologue();
  without_compute.add(after(compute(0, 1), 0, 0)).add(store_word(1));
  CHECK_THAT(Stream().check(without_compute), Contains("(STORE) reads word 1") && Contains("wait_compute"));
}

TEST_CASE("distances count the instructions of a unit") {
  Program program(load_word(0), load_word(1), load_word(2));
  Program good = program, bad = program;
  good.add(after(store_word(1), 1));
  bad.add(after(store_word(1), 2));
  CHECK(Stream().check(good) == "");
  CHECK_THAT(Stream().check(bad), Contains("wait_load of at most 1"));
}

TEST_CASE("overwriting what is still read or written") {
  Program layer = prologue();
  layer.add(after(compute(0, 1), 0, 0)).add(after(store_word(1), no, no, 0));
  const auto check = [&](const auto& instruction) {
    Program program = layer;
    return Stream().check(program.add(instruction));
  };
  CHECK_THAT(check(load_word(0)), Contains("(LOAD) writes word 0") && Contains("wait_compute"));  // operand
  CHECK(check(after(load_word(0), no, no, 0)) == "");
  CHECK_THAT(check(after(load_word(1), no, no, 0)), Contains("(LOAD) writes word 1") && Contains("wait_store"));
  CHECK(check(after(load_word(1), no, no, no, 0)) == "");
  CHECK_THAT(check(load_weights(0)), Contains("(WEIGHTS) writes word 0 of the weight buffer") && Contains("wait_comp"));
  CHECK(check(after(load_weights(0), no, no, 0)) == "");
  CHECK(check(load_weights(4)) == "");
  CHECK_THAT(check(load_channels(0)), Contains("(CHANNELS) writes word 0 of the channel buffer"));
  CHECK_THAT(check(micro()), Contains("(MICRO) writes word 0 of the micro-program memory") && Contains("wait_compute"));
  CHECK(check(after(micro(), no, no, 0)) == "");
  CHECK(check(micro(1)) == "");
  // The stored word: of the unit STORE, so nothing but it protects.
  CHECK_THAT(check(compute(0, 1)), Contains("(COMPUTE) writes word 1") && Contains("wait_store"));
  CHECK(check(after(compute(0, 1), no, no, no, 0)) == "");
  // The array overwrites its own operands in order.
  CHECK(check(compute(0, 2)) == "");
}

TEST_CASE("a COMPUTE waits for the results of another that it reads") {
  Program program = prologue();
  program.add(after(compute(0, 1), 0, 0));
  Program chained = program, waiting = program;
  CHECK_THAT(Stream().check(chained.add(compute(1, 2))),
             Contains("(COMPUTE) reads word 1") && Contains("wait_compute"));
  CHECK(Stream().check(waiting.add(after(compute(1, 2), no, no, 0))) == "");
  CHECK_THAT(Stream().check(program.add(compute(0, 0))),
             Contains("writes word 0 of the feature buffer, which it also"));
}

TEST_CASE("residuals are reads, and may be replaced") {
  isa::Output with_residual = output();
  with_residual.residual = 1;
  isa::Compute adds = after(compute(0, 1), 1, 0);  // the first LOAD only
  adds.residual_address = 1;
  const auto program = [&](const isa::Compute& last) {
    return Program(load_word(0), load_word(1), load_weights(0), load_channels(0), micro(), geometry(), with_residual,
                   last);
  };
  CHECK_THAT(Stream().check(program(adds)), Contains("(COMPUTE) reads word 1"));
  CHECK(Stream().check(program(after(adds, 0, 0))) == "");
  adds = after(adds, 0, 0);
  adds.residual_address = 7;
  CHECK_THAT(Stream().check(program(adds)), Contains("reads word 7 of the feature buffer, which nothing has written"));
}

TEST_CASE("memory: what is stored and loaded again") {
  isa::Load again = load_word(5);
  again.base = 1;
  Program program(load_word(0), after(store_word(0), 0));
  Program bad = program, good = program, other = program;
  CHECK_THAT(Stream().check(bad.add(again)), Contains("(LOAD) reads word 4096 of memory") && Contains("wait_store"));
  CHECK(Stream().check(good.add(after(again, no, no, no, 0))) == "");
  again.offset = 1;
  CHECK(Stream().check(other.add(again)) == "");

  // The other way round: memory is overwritten that a LOAD still reads.
  isa::Store over = after(store_word(0), 1);
  over.base = 0;
  Program early(load_word(3), load_word(0), load_word(1), over);
  CHECK_THAT(Stream().check(early), Contains("(STORE) writes word 0 of memory") && Contains("wait_load of at most 0"));
  CHECK(Stream().check(Program(load_word(0), after(over, 0))) == "");
}

TEST_CASE("memory of two ports comes in any order") {
  const Config two = config_of(8, 4, 2, 8, 2);
  isa::Store twice = store_word(0);
  Program program(load_word(0), after(twice, 0), twice);
  CHECK(Stream().check(program) == "");
  CHECK_THAT(Stream(two).check(program), Contains("(STORE) writes word 4096 of memory"));
  CHECK(Stream(two).check(Program(load_word(0), after(twice, 0), after(twice, no, no, no, 0))) == "");
  CHECK(Stream().check(Program(load_word(0), load_word(0))) == "");
  CHECK_THAT(Stream(two).check(Program(load_word(0), load_word(0))), Contains("needs wait_load of at most 0"));
  isa::Load overlapping = load_word(0);
  overlapping.columns = 2;
  overlapping.rows = 2;
  overlapping.address_row_pitch = 1;
  CHECK_THAT(Stream().check(Program(overlapping)),
             Contains("writes word 1 of the feature buffer, which it also writes"));
}

TEST_CASE("LOADs may write different channels of a word at the same time") {
  const Config two = config_of(8, 4, 2, 8, 2);
  const auto check = [&](const auto&... loads) { return Stream(two).check(Program(loads...)); };
  const auto channels = [](std::uint8_t first, std::uint8_t end) {
    isa::Load load = load_word(0);
    load.columns = word_bytes;
    load.fold_channels = load.fold_stride = 1;
    load.fold_keep_low = first;
    load.fold_keep_high = static_cast<std::uint8_t>(word_bytes - end);
    return load;
  };
  CHECK(check(channels(0, 8), channels(8, 16)) == "");
  CHECK_THAT(check(channels(0, 8), channels(7, 16)), Contains("needs wait_load of at most 0"));
  CHECK_THAT(check(channels(0, 8), channels(8, 16), channels(4, 8)), Contains("needs wait_load of at most 0"));
  CHECK(check(channels(0, 8), after(channels(8, 16), 0), channels(0, 8)) == "");
  CHECK_THAT(check(channels(0, 8), load_word(0)), Contains("needs wait_load of at most 0"));
}

TEST_CASE("waits protect over other units, and over what a unit did before") {
  Program program = prologue();
  program.add(after(compute(0, 1), 0, 0)).add(after(store_word(1), no, no, 0));
  // STORE waits for COMPUTE, which waited for LOAD and WEIGHTS: who waits for STORE has waited for all.
  Program over = program;
  CHECK(Stream().check(over.add(after(load_word(0), no, no, no, 0))) == "");
  CHECK(Stream().check(over.add(load_weights(0))) != "");
  Program weights = program;
  CHECK(Stream().check(weights.add(after(load_weights(0), no, no, no, 0))) == "");
  // The second LOAD starts after the first one, which has waited.
  Program later = program;
  later.add(after(load_word(9), no, no, no, 0)).add(load_word(0)).add(load_word(1));
  CHECK(Stream().check(later) == "");
  // Starting after a LOAD is not being finished after it.
  Program unfinished(load_word(0), after(store_word(0), 0), load_word(1), store_word(1));
  CHECK_THAT(Stream().check(unfinished), Contains("instruction 3 (STORE) reads word 1"));
  // A setting's wait holds back what comes behind it.
  Program setting = prologue();
  setting.add(after(geometry(), 0, 0)).add(compute(0, 1));
  CHECK(Stream().check(setting) == "");
}

TEST_CASE("commands follow one another without a pause, unless the driver waited") {
  Program next(load_word(0));
  Program first = prologue();
  first.add(after(compute(0, 1), 0, 0));
  Stream overlapping;
  CHECK(overlapping.check(first) == "");
  CHECK_THAT(overlapping.check(next), Contains("instruction 0 (LOAD) writes word 0") && Contains("wait_compute"));
  Stream waiting;
  CHECK(waiting.check(first) == "");
  waiting.complete();
  CHECK(waiting.check(next) == "");
  Stream distance;
  CHECK(distance.check(first) == "");
  CHECK(distance.check(Program(after(load_word(0), no, no, 0))) == "");
}

TEST_CASE("what was never written or set") {
  CHECK_THAT(Stream().check(Program(store_word(3))), Contains("reads word 3 of the feature buffer, which nothing"));
  Program complete = prologue();
  complete.add(after(compute(0, 1), 0, 0));
  const auto check = [](const auto&... instructions) { return Stream().check(Program(instructions...)); };
  const auto last = after(compute(0, 1), 0, 0);
  CHECK_THAT(check(load_weights(0), load_channels(0), micro(), geometry(), output(), last),
             Contains("word 0 of the f"));
  CHECK_THAT(check(load_word(0), load_channels(0), micro(), geometry(), output(), last), Contains("the weight buffer"));
  CHECK_THAT(check(load_word(0), load_weights(0), micro(), geometry(), output(), last), Contains("the channel buffer"));
  CHECK_THAT(check(load_word(0), load_weights(0), load_channels(0), geometry(), output(), last), Contains("entry 0"));
  CHECK_THAT(check(load_word(0), load_weights(0), load_channels(0), micro(), output(), last), Contains("GEOMETRY"));
  CHECK_THAT(check(load_word(0), load_weights(0), load_channels(0), micro(), geometry(), last), Contains("OUTPUT"));
  // Settings of another command do not count, contents of buffers do.
  Stream stream;
  CHECK(stream.check(complete) == "");
  CHECK_THAT(stream.check(Program(geometry(), output(), compute(0, 2))), Contains("its command did not write"));
  isa::Compute adding = last;
  adding.accumulate = 1;
  CHECK_THAT(Stream().check(prologue().add(adding)), Contains("accumulates"));
}

TEST_CASE("settings that contradict themselves or each other") {
  const auto check = [](const isa::Geometry& g, const isa::Output& o) {
    return Stream().check(
        Program(load_word(0), load_weights(0), load_channels(0), micro(), g, o, after(compute(0, 1), 0, 0)));
  };
  isa::Geometry g = geometry();
  g.group_rows = 1;
  CHECK_THAT(check(g, output()), Contains("GEOMETRY.group_rows of 1, not 2"));
  g = geometry();
  g.group_step = 1;
  CHECK_THAT(check(g, output()), Contains("GEOMETRY.group_step of 1, not 2"));
  isa::Output o = output();
  o.clamp_min = 127;
  o.clamp_max = -1;
  CHECK_THAT(check(geometry(), o), Contains("clamp_min above clamp_max"));
  isa::Micro empty = micro();
  empty.words0 = 0;
  CHECK_THAT(Stream().check(Program(empty)), Contains("0 words in entry 0"));
  isa::Micro bad;
  CHECK_THAT(Stream().check(Program(bad)), Contains("instruction 0 with opcode 3"));
  ProgramChecker checker(config);
  CHECK_FALSE(checker.check(Command{}, Program(bad).words()));
}

TEST_CASE("windows have rules of their own") {
  const auto check = [](auto change, std::uint8_t micro_count = 1) {
    isa::Load tile = load_word(0);
    tile.rows = 2;
    tile.columns = tile.row_pitch = tile.address_row_pitch = 3;
    isa::Geometry window = geometry();
    window.rows = 2;
    window.columns = window.out_columns = 3;
    window.group_rows = 0;
    window.group_columns = 2;
    window.window = 1;
    isa::Compute all = after(compute(0, 6), 0, 0);
    all.pixels = 6;
    all.micro_count = micro_count;
    isa::Micro entry = micro();
    isa::Weights weights = load_weights(0);
    weights.steps = 17;
    change(window, all, entry);
    Program program(tile, weights, load_channels(0));
    for (std::uint8_t i = 0; i < micro_count; ++i, ++entry.address) program.add(entry);
    return Stream().check(program.add(window).add(output()).add(all));
  };
  using isa::Compute, isa::Geometry, isa::Micro;
  const auto nothing = [](Geometry&, Compute&, Micro&) {};
  CHECK(check(nothing) == "");
  CHECK(check(nothing, 16) == "");
  CHECK_THAT(check(nothing, 17), Contains("at most 16 micro-operations"));
  CHECK_THAT(check([](Geometry& g, Compute&, Micro&) { g.columns = 2; }), Contains("out_columns = columns"));
  CHECK_THAT(check([](Geometry&, Compute& c, Micro&) { c.in_column = -1; }), Contains("in_column = 0"));
  CHECK_THAT(check([](Geometry&, Compute& c, Micro&) { c.pixels = 5; }), Contains("whole rows"));
  CHECK_THAT(check([](Geometry&, Compute& c, Micro&) { c.keep = 1; }), Contains("neither accumulate nor keep"));
  CHECK_THAT(check([](Geometry&, Compute&, Micro& m) { m.words0 = 2; }), Contains("one word in column 0"));
  CHECK_THAT(check([](Geometry&, Compute&, Micro& m) { m.column0 = 1; }), Contains("one word in column 0"));
  // A step for each micro-operation: the weights of 16 lie in 16 steps, though a word has 4 steps elsewhere.
  CHECK_THAT(check([](Geometry&, Compute& c, Micro&) { c.weight_address = 2; }, 16), Contains("the weight buffer"));
  CHECK(check([](Geometry&, Compute& c, Micro&) { c.weight_address = 1; }, 16) == "");
}

TEST_CASE("two pixel lanes on one bank") {
  // 4 banks; a column of pixels with a row pitch of 4 words.
  isa::Load column = load_word(0);
  column.rows = 4;
  column.address_row_pitch = 4;
  isa::Geometry g = geometry();
  g.rows = 4;
  g.row_step = 3;  // one more than the column's step
  isa::Compute all = after(compute(0, 100), 0, 0);
  all.pixels = 4;
  const auto check = [&](const isa::Geometry& used) {
    return Stream().check(Program(column, load_weights(0), load_channels(0), micro(), used, output(), all));
  };
  CHECK_THAT(check(g), Contains("pixel lanes 0 and 1 on one bank") && Contains("phases_log2"));
  g.phases_log2 = 1;
  CHECK(check(g) == "");
  g.phases_log2 = 0;
  column.address_row_pitch = 5;
  g.row_step = 4;
  CHECK(check(g) == "");
  // Operands outside the input are not read, so they have no bank.
  column.address_row_pitch = 4;
  g.row_step = 3;
  g.rows = 1;
  CHECK(check(g) == "");
}

}  // namespace
}  // namespace cosoc::conv2d::test
