#include "drivers/conv2d_engine/generator.hpp"

#include <cmath>
#include <tuple>

namespace cosoc::conv2d_engine {
namespace {

constexpr std::int64_t most_words = 255;  // LOAD.words, STORE.words and words of a micro-operation
constexpr std::int64_t word_bytes = 16;
constexpr double shortest_transfer = 4.138;  // cycles of a port

std::uint16_t low16(std::int64_t value) { return static_cast<std::uint16_t>(value & 0xFFFF); }
std::int16_t signed16(std::int64_t value) { return static_cast<std::int16_t>(low16(value)); }

/// An interval of a buffer of `size` units whose addresses wrap.
void add_wrapped(std::vector<Interval>& intervals, Memory memory, std::int64_t begin, std::int64_t count,
                 std::int64_t size) {
  const auto number = static_cast<std::uint32_t>(memory);
  const std::int64_t first = std::min(count, size - begin);
  intervals.push_back({number, static_cast<std::uint64_t>(begin), static_cast<std::uint64_t>(begin + first)});
  if (count > first) intervals.push_back({number, 0, static_cast<std::uint64_t>(count - first)});
}

Interval features(std::int64_t begin, std::int64_t words) {
  return {static_cast<std::uint32_t>(Memory::features), static_cast<std::uint64_t>(begin),
          static_cast<std::uint64_t>(begin + words)};
}

/// `words` words at the beginning of each of some planes.
void add_planes(std::vector<Interval>& intervals, std::int64_t begin, std::int64_t planes, std::int64_t pitch,
                std::int64_t words) {
  if (words == pitch) return intervals.push_back(features(begin, planes * pitch));
  for (std::int64_t plane = 0; plane < planes; ++plane) intervals.push_back(features(begin + plane * pitch, words));
}

/// A tile of a tensor in memory, in words of 16 bytes.
struct Transfer {
  Place place;
  std::int64_t first = 0;  // word of the first pixel
  std::int64_t rows = 1;
  std::int64_t columns = 1;
  std::int64_t row_pitch = 1;
  std::int64_t pixel_pitch = 1;

  Interval bytes(std::int64_t word, std::int64_t words) const {
    const std::uint64_t begin = place.offset + static_cast<std::uint64_t>((first + word) * word_bytes);
    const std::int64_t last = (rows - 1) * row_pitch + (columns - 1) * pixel_pitch;
    return tensor_bytes(place.base, begin, begin + static_cast<std::uint64_t>((last + words) * word_bytes));
  }

  template <class Instruction>
  void place_in(Instruction& instruction, std::int64_t word, std::int64_t words) const {
    instruction.base = static_cast<std::uint8_t>(place.base);
    instruction.offset =
        static_cast<std::uint32_t>(place.offset / word_bytes + static_cast<std::uint64_t>(first + word));
    instruction.rows = static_cast<std::uint16_t>(rows);
    instruction.columns = static_cast<std::uint16_t>(columns);
    instruction.words = static_cast<std::uint8_t>(words);
    // A pitch that nothing uses may be larger than its field.
    instruction.row_pitch = rows > 1 ? static_cast<std::uint32_t>(row_pitch) : 0;
    instruction.pixel_pitch = columns > 1 ? static_cast<std::uint16_t>(pixel_pitch) : 0;
  }

  double cycles(const Config& config, std::int64_t words) const {
    const double of_port = static_cast<double>(divide_up(rows, config.memory_ports));
    const double burst = static_cast<double>(pixel_pitch == words ? columns * words : words);
    const double bursts = pixel_pitch == words ? 1 : static_cast<double>(columns);
    return of_port * bursts * std::max(burst, shortest_transfer);
  }
};

/// Part of a tensor: rows and columns of a pass's axes.
Transfer transfer_of(const Place& place, const TensorShape& shape, std::int64_t image, const Axis& rows,
                     const Axis& columns, Range y, Range x, bool output) {
  const std::int64_t row_step = output ? rows.out_step : rows.in_step;
  const std::int64_t column_step = output ? columns.out_step : columns.in_step;
  const std::int64_t row = (output ? rows.out_offset : rows.in_offset) + row_step * y.begin;
  const std::int64_t column = (output ? columns.out_offset : columns.in_offset) + column_step * x.begin;
  return {place,
          (image * shape.pixels() + row * shape.columns + column) * shape.words,
          y.size(),
          x.size(),
          row_step * shape.columns * shape.words,
          column_step * shape.words};
}

class Generator {
 public:
  Generator(const PlannedPass& plan, Engine& engine)
      : config_(plan.config),
        layer_(plan.layer),
        pass_(plan.pass),
        tiling_(plan.tiling),
        residency_(plan.residency),
        constants_(plan.constants),
        places_(plan.places),
        stored_(plan.stored),
        engine_(engine),
        assembler_(engine.assembler),
        tiles_(tiles_of(pass_, tiling_)),
        shape_(shape_of(config_, pass_, tiles_, residency_)),
        segment_key_(engine.next_key),
        channel_key_(segment_key_ + static_cast<std::int64_t>(constants_.segments.size())),
        channel_blocks_(std::max<std::int64_t>(config_.channel_blocks / 2 / tiling_.blocks, 1) * tiling_.blocks) {
    engine.next_key = channel_key_ + divide_up(pass_.out_blocks, channel_blocks_);
  }

  bool run();

 private:
  /// What is loaded for a tile.
  struct Loaded {
    Region in;
    Region residual;
  };
  /// Results of some output words of a tile.
  struct Results {
    Region region;
    std::int64_t begin = 0;  // address of the tile's first pixel and word
    std::int64_t first_word = 0;
    std::int64_t words = 0;
  };
  /// Entries of the micro-program for a part of the reduction.
  struct MicroProgram {
    std::int64_t address = 0;
    std::int64_t count = 0;
    std::int64_t words = 0;
  };

  bool write_micro_programs();
  std::optional<Loaded> load(const Tile& tile);
  void load_input(const Tile& tile, Region& region);
  void load_residual(const Tile& tile, Region& region);
  bool process(const Tile& tile, Loaded& loaded);
  bool compute(const Tile& tile, const Loaded& loaded);
  void set_geometry(const Tile& tile);
  void set_output(const Tile& tile);
  void compute_blocks_of(const Tile& tile, const Loaded& loaded, const Results& results, std::int64_t block,
                         std::int64_t blocks);
  void store(const Tile& tile, const Region& region, std::int64_t begin, std::int64_t first_word, std::int64_t words,
             std::int64_t row_pitch, std::int64_t plane);
  std::int64_t weights_of(std::int64_t segment);
  std::int64_t channels_of(std::int64_t block);
  /// Place of a tile's first pixel in a plane of a resident tensor.
  std::int64_t in_place(const Tile& tile) const {
    return tile.in_rows.begin * shape_.in_row_pitch + tile.in_columns.begin;
  }
  std::int64_t out_place(const Tile& tile) const { return tile.out_rows.begin * shape_.out_row_pitch; }
  double now(isa::Unit unit) const { return assembler_.free_at(unit); }

  const Config& config_;
  const Layer& layer_;
  const Pass& pass_;
  const Tiling& tiling_;
  const Residency& residency_;
  const ConstantLayout& constants_;
  const Places& places_;
  bool stored_;
  Engine& engine_;
  Assembler& assembler_;
  std::vector<Tile> tiles_;
  TileShape shape_;
  std::int64_t segment_key_;
  std::int64_t channel_key_;
  std::int64_t channel_blocks_;  // of one CHANNELS
  std::vector<MicroProgram> programs_;
};

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

std::optional<Generator::Loaded> Generator::load(const Tile& tile) {
  Loaded loaded;
  const double needed_at = now(isa::Unit::load);
  if (residency_.in) {
    loaded.in = residency_.in->region;
  } else if (tile.in_rows.size() > 0) {
    const auto region = engine_.features.allocate(shape_.in_words, needed_at);
    if (!region) return {};
    loaded.in = *region;
  }
  if (residency_.residual) {
    loaded.residual = residency_.residual->region;
  } else if (layer_.residual) {
    const auto region = engine_.features.allocate(shape_.out_plane * pass_.out_shape.words, needed_at);
    if (!region) return {};
    loaded.residual = *region;
  }
  if (loaded.in.words > 0 && !residency_.in) load_input(tile, loaded.in);
  if (loaded.residual.words > 0 && !residency_.residual) load_residual(tile, loaded.residual);
  return loaded;
}

void Generator::load_input(const Tile& tile, Region& region) {
  const Transfer transfer = transfer_of(places_.in, pass_.in_shape, tile.image, pass_.rows, pass_.columns, tile.in_rows,
                                        tile.in_columns, false);
  for (std::int64_t word = 0; word < pass_.in_shape.words; word += most_words) {
    const std::int64_t words = std::min(most_words, pass_.in_shape.words - word);
    isa::Load load;
    transfer.place_in(load, word, words);
    load.address = low16(region.begin + word * shape_.in_plane);
    load.address_row_pitch = static_cast<std::uint16_t>(shape_.in_row_pitch);
    load.address_plane_pitch = low16(shape_.in_plane);
    if (pass_.fold) {
      const ColumnFold& fold = *pass_.fold;
      const std::int64_t first = fold.origin + fold.stride * tile.out_columns.begin;
      const std::int64_t end =
          fold.origin + fold.stride * (tile.out_columns.end - 1 + pass_.columns.taps.back()) + fold.pixels;
      load.fold_channels = static_cast<std::uint8_t>(fold.channels);
      load.fold_left = static_cast<std::uint8_t>(std::max<std::int64_t>(0, -first));
      load.fold_right = static_cast<std::uint8_t>(std::max<std::int64_t>(0, end - pass_.columns.in));
      load.fold_stride = static_cast<std::uint8_t>(fold.stride);
      load.zero_point = static_cast<std::int16_t>(layer_.in_zero_point);
    }
    const Effect effect = {{transfer.bytes(word, words)},
                           {features(region.begin + word * shape_.in_plane, words * shape_.in_plane)},
                           transfer.cycles(config_, words)};
    engine_.features.use(region, assembler_.emit(load, effect));
  }
}

void Generator::load_residual(const Tile& tile, Region& region) {
  const TensorShape pooled = {pass_.rows.out, pass_.columns.out, pass_.out_shape.words};
  const Transfer transfer = transfer_of(places_.residual, pass_.pooling ? pooled : pass_.out_shape, tile.image,
                                        pass_.rows, pass_.columns, tile.out_rows, tile.out_columns, true);
  for (std::int64_t word = 0; word < pass_.out_shape.words; word += most_words) {
    const std::int64_t words = std::min(most_words, pass_.out_shape.words - word);
    isa::Load load;
    transfer.place_in(load, word, words);
    load.address = low16(region.begin + word * shape_.out_plane);
    load.address_row_pitch = static_cast<std::uint16_t>(shape_.out_row_pitch);
    load.address_plane_pitch = low16(shape_.out_plane);
    const Effect effect = {{transfer.bytes(word, words)},
                           {features(region.begin + word * shape_.out_plane, words * shape_.out_plane)},
                           transfer.cycles(config_, words)};
    engine_.features.use(region, assembler_.emit(load, effect));
  }
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
    const auto region = residency_.out
                            ? std::optional(residency_.out->region)
                            : engine_.features.allocate(results.words * shape_.out_plane, now(isa::Unit::compute));
    if (!region) return false;
    results.region = *region;
    results.begin = region->begin + (residency_.out ? word * shape_.out_plane + out_place(tile) : 0);
    const std::int64_t end = std::min((word + results.words) * parts, pass_.out_blocks);
    for (std::int64_t block = word * parts; block < end; block += tiling_.blocks) {
      compute_blocks_of(tile, loaded, results, block, std::min(tiling_.blocks, end - block));
    }
    if (stored_)
      store(tile, results.region, results.begin, word, results.words, shape_.out_row_pitch, shape_.out_plane);
    if (!residency_.out) engine_.features.release(results.region);
  }
  return true;
}

void Generator::set_geometry(const Tile& tile) {
  const std::int64_t out_columns = tile.out_columns.size();
  const std::int64_t lanes = config_.pixel_lanes;
  isa::Geometry geometry;
  geometry.rows = static_cast<std::uint16_t>(tile.in_rows.size());
  geometry.columns = static_cast<std::uint16_t>(pass_.window ? out_columns : buffered_columns(pass_, tile));
  geometry.plane_pitch = low16(shape_.in_plane);
  geometry.zero_point = static_cast<std::int16_t>(layer_.in_zero_point);
  geometry.stride_rows = static_cast<std::uint8_t>(pass_.rows.stride);
  geometry.stride_columns = static_cast<std::uint8_t>(pass_.columns.stride);
  geometry.out_columns = static_cast<std::uint16_t>(out_columns);
  geometry.group_rows = static_cast<std::uint8_t>(lanes / out_columns);
  geometry.group_columns = static_cast<std::uint8_t>(lanes % out_columns);
  geometry.group_step = signed16(lanes * pass_.columns.stride);
  geometry.row_step = signed16(pass_.rows.stride * shape_.in_row_pitch - pass_.columns.stride * out_columns);
  geometry.phases_log2 =
      static_cast<std::uint8_t>(read_phases(config_, pass_, shape_.in_row_pitch, out_columns, tile.pixels()));
  geometry.window = pass_.window ? 1 : 0;
  assembler_.emit(geometry, {});
}

void Generator::set_output(const Tile& tile) {
  isa::Output output;
  output.plane_pitch = low16(shape_.out_plane);
  output.group_step = static_cast<std::int16_t>(config_.pixel_lanes);
  output.row_step = signed16(shape_.out_row_pitch - tile.out_columns.size());
  output.zero_point = static_cast<std::int16_t>(layer_.out_zero_point);
  output.clamp_min = static_cast<std::int16_t>(layer_.clamp_min);
  output.clamp_max = static_cast<std::int16_t>(layer_.clamp_max);
  if (layer_.residual) {
    const std::uint32_t fraction =
        config_.activation_bits == 8 ? isa::residual_fraction_int8 : isa::residual_fraction_int16;
    output.residual = 1;
    output.residual_zero_point = static_cast<std::int16_t>(layer_.residual->zero_point);
    const double multiplier = std::ldexp(static_cast<double>(layer_.residual->multiplier), static_cast<int>(fraction));
    output.residual_multiplier = static_cast<std::uint32_t>(std::llround(multiplier));
  }
  assembler_.emit(output, {});
}

void Generator::compute_blocks_of(const Tile& tile, const Loaded& loaded, const Results& results, std::int64_t block,
                                  std::int64_t blocks) {
  const std::int64_t parts = word_parts(config_);
  const auto first_word = [&](std::int64_t of) { return pass_.first_words[static_cast<std::size_t>(of)]; };
  const std::int64_t word = first_word(block);
  const std::int64_t last_word = first_word(block + blocks - 1);
  const std::int64_t out_word = block / parts;
  const std::int64_t out_words = (block + blocks - 1) / parts - out_word + 1;
  isa::Compute compute;
  if (tile.in_rows.size() > 0) {
    compute.in_row =
        static_cast<std::int16_t>(pass_.rows.origin + pass_.rows.stride * tile.out_rows.begin - tile.in_rows.begin);
    if (!pass_.fold) {
      compute.in_column = static_cast<std::int16_t>(
          pass_.columns.origin + pass_.columns.stride * tile.out_columns.begin - tile.in_columns.begin);
    }
  }
  const std::int64_t in_begin = loaded.in.begin + (residency_.in ? in_place(tile) : 0);
  compute.in_address =
      low16(in_begin + word * shape_.in_plane + compute.in_row * shape_.in_row_pitch + compute.in_column);
  const std::int64_t out_offset = (out_word - results.first_word) * shape_.out_plane;
  const std::int64_t residual =
      loaded.residual.begin + out_word * shape_.out_plane + (residency_.residual ? out_place(tile) : 0);
  compute.out_address = low16(results.begin + out_offset);
  compute.out_part = static_cast<std::uint8_t>(block % parts);
  compute.residual_address = low16(residual);
  compute.channel_address = static_cast<std::uint16_t>(channels_of(block));
  compute.pixels = static_cast<std::uint32_t>(tile.pixels());
  compute.blocks = static_cast<std::uint8_t>(blocks);
  compute.block_step = blocks > 1 ? low16((first_word(block + 1) - word) * shape_.in_plane) : 0;
  const std::int64_t phases = read_phases(config_, pass_, shape_.in_row_pitch, tile.out_columns.size(), tile.pixels());
  for (std::size_t part = 0; part < programs_.size(); ++part) {
    const MicroProgram& program = programs_[part];
    const std::int64_t segment = block / tiling_.blocks * std::ssize(programs_) + static_cast<std::int64_t>(part);
    const std::int64_t steps = program.words * word_steps(config_, pass_);
    compute.weight_address = static_cast<std::uint16_t>(weights_of(segment));
    compute.micro_address = static_cast<std::uint16_t>(program.address);
    compute.micro_count = static_cast<std::uint16_t>(program.count);
    compute.accumulate = part > 0 ? 1 : 0;
    compute.keep = part + 1 < programs_.size() ? 1 : 0;
    Effect effect;
    add_wrapped(effect.reads, Memory::weights, compute.weight_address, steps * blocks, config_.weight_steps);
    add_wrapped(effect.reads, Memory::channels, compute.channel_address, blocks, config_.channel_blocks);
    add_wrapped(effect.reads, Memory::micro, compute.micro_address, compute.micro_count, isa::micro_operations);
    if (loaded.in.words > 0) {
      effect.reads.push_back(
          features(loaded.in.begin + word * shape_.in_plane, (last_word - word + pass_.block_words) * shape_.in_plane));
    }
    const std::int64_t plane = tile.out_rows.size() * shape_.out_row_pitch;
    if (layer_.residual) add_planes(effect.reads, residual, out_words, shape_.out_plane, plane);
    add_planes(effect.writes, results.begin + out_offset, out_words, shape_.out_plane, plane);
    const std::int64_t of_group = std::max(steps << phases, group_slices(config_));
    const std::int64_t groups = divide_up(tile.pixels() + (pass_.window ? 1 : 0), config_.pixel_lanes);
    effect.cycles = static_cast<double>(blocks * groups * of_group);
    const double finished = assembler_.emit(compute, effect);
    if (loaded.in.words > 0) engine_.features.use(loaded.in, finished);
    if (layer_.residual) engine_.features.use(loaded.residual, finished);
    engine_.features.use(results.region, finished);
  }
}

void Generator::store(const Tile& tile, const Region& region, std::int64_t begin, std::int64_t first_word,
                      std::int64_t words, std::int64_t row_pitch, std::int64_t plane) {
  if (tile.stored_rows.size() == 0 || tile.stored_columns.size() == 0) return;
  const Transfer transfer = transfer_of(places_.out, pass_.out_shape, tile.image, pass_.rows, pass_.columns,
                                        tile.stored_rows, tile.stored_columns, true);
  const MaxPooling pooling = pass_.pooling.value_or(MaxPooling{});
  for (std::int64_t word = 0; word < words; word += most_words) {
    const std::int64_t count = std::min(most_words, words - word);
    isa::Store store;
    transfer.place_in(store, first_word + word, count);
    store.address = low16(begin + word * plane);
    store.address_row_pitch = static_cast<std::uint16_t>(row_pitch);
    store.address_plane_pitch = low16(plane);
    store.window_rows = static_cast<std::uint8_t>(pooling.window.rows);
    store.window_columns = static_cast<std::uint8_t>(pooling.window.columns);
    store.stride_rows = static_cast<std::uint8_t>(pooling.stride.rows);
    store.stride_columns = static_cast<std::uint8_t>(pooling.stride.columns);
    store.in_rows = static_cast<std::uint16_t>(tile.out_rows.size());
    store.in_columns = static_cast<std::uint16_t>(tile.out_columns.size());
    store.origin_row = static_cast<std::int8_t>(tile.stored_rows.begin * pooling.stride.rows - pooling.padding.top -
                                                tile.out_rows.begin);
    store.origin_column = static_cast<std::int8_t>(tile.stored_columns.begin * pooling.stride.columns -
                                                   pooling.padding.left - tile.out_columns.begin);
    const double window = static_cast<double>(pooling.window.rows * pooling.window.columns);
    Effect effect = {{}, {transfer.bytes(first_word + word, count)}, transfer.cycles(config_, count) * window};
    add_planes(effect.reads, begin + word * plane, count, plane,
               std::min(plane, (pass_.computes ? tile.out_rows.size() : tile.in_rows.size()) * row_pitch));
    engine_.features.use(region, assembler_.emit(store, effect));
  }
}

std::int64_t Generator::weights_of(std::int64_t index) {
  const WeightSegment& segment = constants_.segments[static_cast<std::size_t>(index)];
  const std::int64_t key = segment_key_ + index;
  if (const auto address = engine_.weights.find(key)) return *address;
  const std::int64_t address = engine_.weights.insert(key, segment.steps);
  const std::uint64_t offset = places_.constants.offset + static_cast<std::uint64_t>(segment.offset);
  const auto bytes = static_cast<std::uint64_t>(segment.steps * step_bytes(config_));
  isa::Weights weights;
  weights.base = static_cast<std::uint8_t>(places_.constants.base);
  weights.offset = static_cast<std::uint32_t>(offset / word_bytes);
  weights.steps = static_cast<std::uint16_t>(segment.steps);
  weights.address = static_cast<std::uint16_t>(address);
  Effect effect;
  effect.reads.push_back(tensor_bytes(places_.constants.base, offset, offset + bytes));
  add_wrapped(effect.writes, Memory::weights, address, segment.steps, config_.weight_steps);
  effect.cycles = static_cast<double>(bytes) / word_bytes / config_.memory_ports;
  assembler_.emit(weights, effect);
  return address;
}

std::int64_t Generator::channels_of(std::int64_t block) {
  const std::int64_t first = block / channel_blocks_ * channel_blocks_;
  const std::int64_t key = channel_key_ + block / channel_blocks_;
  if (const auto address = engine_.channels.find(key)) return (*address + block - first) % config_.channel_blocks;
  const std::int64_t blocks = std::min(channel_blocks_, pass_.out_blocks - first);
  const std::int64_t address = engine_.channels.insert(key, blocks);
  const std::int64_t block_bytes = config_.output_lanes * channel_bytes(config_);
  const std::uint64_t offset =
      places_.constants.offset + static_cast<std::uint64_t>(constants_.channel_offset + first * block_bytes);
  const auto bytes = static_cast<std::uint64_t>(blocks * block_bytes);
  isa::Channels channels;
  channels.base = static_cast<std::uint8_t>(places_.constants.base);
  channels.offset = static_cast<std::uint32_t>(offset / word_bytes);
  channels.blocks = static_cast<std::uint16_t>(blocks);
  channels.address = static_cast<std::uint16_t>(address);
  Effect effect;
  effect.reads.push_back(tensor_bytes(places_.constants.base, offset, offset + bytes));
  add_wrapped(effect.writes, Memory::channels, address, blocks, config_.channel_blocks);
  effect.cycles = static_cast<double>(bytes) / word_bytes;
  assembler_.emit(channels, effect);
  return (address + block - first) % config_.channel_blocks;
}

}  // namespace

bool generate(const PlannedPass& plan, Engine& engine) { return Generator(plan, engine).run(); }

void store_tensor(const Config& config, const TensorShape& shape, const ResidentTensor& tensor, const Place& place,
                  Engine& engine) {
  const Transfer transfer = {place, 0, shape.rows, shape.columns, shape.columns * shape.words, shape.words};
  for (std::int64_t word = 0; word < shape.words; word += most_words) {
    const std::int64_t words = std::min(most_words, shape.words - word);
    const std::int64_t begin = tensor.region.begin + word * tensor.plane;
    isa::Store store;
    transfer.place_in(store, word, words);
    store.address = low16(begin);
    store.address_row_pitch = static_cast<std::uint16_t>(tensor.row_pitch);
    store.address_plane_pitch = low16(tensor.plane);
    store.window_rows = store.window_columns = store.stride_rows = store.stride_columns = 1;
    store.in_rows = static_cast<std::uint16_t>(shape.rows);
    store.in_columns = static_cast<std::uint16_t>(shape.columns);
    const Effect effect = {
        {features(begin, words * tensor.plane)}, {transfer.bytes(word, words)}, transfer.cycles(config, words)};
    engine.features.use(tensor.region, engine.assembler.emit(store, effect));
  }
}

}  // namespace cosoc::conv2d_engine
