#include "drivers/conv2d/generator.hpp"

#include <tuple>

#include "drivers/conv2d/pass_generator.hpp"

namespace cosoc::conv2d {

bool Generator::run() {
  if (pass_.computes && !write_micro_programs()) return false;
  std::optional<Loaded> next = load(tiles_.front());
  for (std::size_t index = 0; index < tiles_.size(); ++index) {
    if (!next) return false;
    Loaded loaded = *next;
    const bool last = index + 1 == tiles_.size();
    if (tiling_.prefetch && !last) next = load(tiles_[index + 1]);
    if (!process(tiles_[index], loaded)) return false;
    if (loaded.in.words > 0 && !residency_.in) engine_.features.release(loaded.in);
    if (loaded.residual.words > 0 && !residency_.residual) engine_.features.release(loaded.residual);
    if (!tiling_.prefetch && !last) next = load(tiles_[index + 1]);
  }
  if (whole_results_) engine_.features.release(*whole_results_);
  return true;
}

bool Generator::write_micro_programs() {
  struct Operation {
    std::int64_t offset, row, column, words;
  };
  std::vector<Operation> operations;
  for (std::int64_t first = 0; first < pass_.reduction(); first += tiling_.words) {
    const std::int64_t end = std::min(first + tiling_.words, pass_.reduction());
    const auto begin = static_cast<std::int64_t>(operations.size());
    for (std::int64_t word = first; word < end;) {
      const std::int64_t tap = word / pass_.block_words;
      const std::int64_t plane = word % pass_.block_words;
      const std::int64_t words = std::min({pass_.block_words - plane, end - word, most_words});
      const auto columns = static_cast<std::int64_t>(pass_.columns.taps.size());
      const std::int64_t row = pass_.rows.taps[static_cast<std::size_t>(tap / columns)];
      const std::int64_t column = pass_.columns.taps[static_cast<std::size_t>(tap % columns)];
      operations.push_back({row * shape_.in_row_pitch + column + plane * shape_.in_plane, row, column, words});
      word += words;
    }
    programs_.push_back({begin, static_cast<std::int64_t>(operations.size()) - begin, end - first});
  }
  const auto count = static_cast<std::int64_t>(operations.size());
  if (count > isa::micro_operations) return false;
  if (engine_.next_micro + count > isa::micro_operations) engine_.next_micro = 0;
  for (MicroProgram& program : programs_) program.address += engine_.next_micro;
  operations.resize(static_cast<std::size_t>(divide_up(count, isa::micro_entries)) * isa::micro_entries);
  for (std::int64_t at = 0; at < count; at += isa::micro_entries) {
    const Operation* four = operations.data() + at;
    isa::Micro micro;
    micro.address = static_cast<std::uint16_t>(engine_.next_micro + at);
    micro.count = static_cast<std::uint8_t>(std::min<std::int64_t>(isa::micro_entries, count - at));
    std::tie(micro.offset0, micro.offset1, micro.offset2, micro.offset3) = std::tuple(
        signed16(four[0].offset), signed16(four[1].offset), signed16(four[2].offset), signed16(four[3].offset));
    std::tie(micro.row0, micro.row1, micro.row2, micro.row3) =
        std::tuple(four[0].row, four[1].row, four[2].row, four[3].row);
    std::tie(micro.column0, micro.column1, micro.column2, micro.column3) =
        std::tuple(four[0].column, four[1].column, four[2].column, four[3].column);
    std::tie(micro.words0, micro.words1, micro.words2, micro.words3) =
        std::tuple(four[0].words, four[1].words, four[2].words, four[3].words);
    Effect effect;
    add_wrapped(effect.writes, Memory::micro, micro.address, micro.count, isa::micro_operations);
    effect.cycles = micro.count;
    assembler_.emit(micro, effect);
  }
  engine_.next_micro += count;
  return true;
}

bool Generator::process(const Tile& tile, Loaded& loaded) {
  if (pass_.computes) return compute(tile, loaded);
  const std::int64_t begin = loaded.in.begin + (residency_.in ? in_place(tile) : 0);
  store(tile, loaded.in, begin, 0, pass_.in_shape.words, shape_.in_row_pitch, shape_.in_plane);
  return true;
}

bool Generator::compute(const Tile& tile, const Loaded& loaded) {
  set_geometry(tile);
  set_output(tile);
  const std::int64_t parts = word_parts(config_);
  for (std::int64_t word = 0; word < pass_.out_shape.words; word += stored_words(pass_)) {
    Results results = {{}, 0, word, std::min(stored_words(pass_), pass_.out_shape.words - word)};
    const auto region = results_region(results.words);
    if (!region) return false;
    results.region = *region;
    const bool whole = residency_.out || tiling_.whole_results;
    results.begin = region->begin + (whole ? word * shape_.out_plane + out_place(tile) : 0);
    const std::int64_t end = std::min((word + results.words) * parts, pass_.out_blocks);
    for (std::int64_t block = word * parts; block < end; block += tiling_.blocks) {
      compute_blocks_of(tile, loaded, results, block, std::min(tiling_.blocks, end - block));
    }
    if (stored_)
      store(tile, results.region, results.begin, word, results.words, shape_.out_row_pitch, shape_.out_plane);
    if (!whole) engine_.features.release(results.region);
  }
  return true;
}

std::optional<Region> Generator::results_region(std::int64_t words) {
  if (residency_.out) return residency_.out->region;
  if (!tiling_.whole_results) return engine_.features.allocate(words * shape_.out_plane, now(isa::Unit::compute));
  if (!whole_results_) {
    whole_results_ = engine_.features.allocate(pass_.out_shape.words * shape_.out_plane, now(isa::Unit::compute));
  }
  return whole_results_;
}

bool generate(const PlannedPass& plan, Engine& engine) { return Generator(plan, engine).run(); }

}  // namespace cosoc::conv2d
