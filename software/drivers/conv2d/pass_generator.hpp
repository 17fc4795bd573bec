/// The parts of `generate`: what loads, computes and stores share.
#pragma once

#include "drivers/conv2d/transfer.hpp"

namespace cosoc::conv2d {

/// Makes the instructions of one pass.
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
        shape_(shape_of(config_, pass_, tiling_, tiles_, residency_)),
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
  void load_lines(const Tile& tile, Region& region);
  /// What `load` makes of its row of each of some groups: zero points where that is outside of the input.
  void load_groups(const Tile& tile, Region& region, const FoldedLoad& load, Range groups, bool& first);
  void load_rows(const Tile& tile, Region& region, const FoldedLoad& load, Range groups, bool blank,
                 bool beside_own_writes);
  void load_residual(const Tile& tile, Region& region);
  void set_fold(isa::Load& load, const FoldedSequence& sequence) const;
  /// LOAD of `words` words of each pixel, which writes `written` of a region.
  void emit_load(isa::Load& load, const Transfer& transfer, std::int64_t word, std::int64_t words, Region& region,
                 const Interval& written, bool beside_own_writes);
  bool process(const Tile& tile, Loaded& loaded);
  /// The region of the results of `words` words of a tile; none when there is no room.
  std::optional<Region> results_region(std::int64_t words);
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
  std::optional<Region> whole_results_;
};

}  // namespace cosoc::conv2d
