/// Who meets whom at the banks of the feature buffer, word by word, in a schedule.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>

#include "drivers/conv2d/tiling.hpp"

namespace cosoc::conv2d {

/// Windows along one axis of a tile.
struct WindowAxis {
  std::int64_t origin = 0;  // position of the first window
  std::int64_t stride = 1;
  std::int64_t window = 1;
  std::int64_t limit = 0;  // positions inside
};

/// A tile in the feature buffer: the words that an engine visits for each beat, pixel by pixel, word by word.
struct BufferTile {
  std::uint32_t address = 0;  // of row 0, column 0, word 0
  std::uint32_t row_pitch = 0;
  std::uint32_t plane_pitch = 0;
  std::uint64_t columns = 1;  // pixels of a row
  std::uint64_t words = 1;    // of a pixel
  WindowAxis rows;            // windows of a STORE; of a LOAD single positions, and all are inside
  WindowAxis positions;       // likewise, along a row
};

/// The way of an engine over a tile.
class TileWalk {
 public:
  explicit TileWalk(const BufferTile& tile) : tile_(tile) { start_row(), start_pixel(); }

  /// Operands of the current beat: rows and columns inside the window; both may be zero.
  std::uint32_t address() const { return address_; }
  std::uint32_t rows() const { return rows_; }
  std::uint32_t columns() const { return columns_; }
  std::uint32_t row_pitch() const { return tile_.row_pitch; }
  /// To the next beat.
  void advance();

 private:
  void start_row();
  void start_pixel();

  BufferTile tile_;
  std::int64_t row_ = 0;  // number of the window along the rows
  std::int64_t pixel_ = 0;
  std::uint64_t word_ = 0;
  std::uint32_t row_address_ = 0;
  std::uint32_t address_ = 0;
  std::uint32_t rows_ = 1;
  std::uint32_t columns_ = 1;
};

/// Results of a COMPUTE on their way into the buffer.
struct OutputStream {
  std::int64_t first = 0;    // cycle of the first write, if nothing waits
  std::uint64_t steps = 1;   // cycles of the array from one group to the next
  std::uint64_t blocks = 1;  // of output channels
  std::uint64_t groups = 1;  // of a block
  std::uint64_t before = 0;  // lanes of the first group before the first pixel
  std::uint64_t pixels = 1;
  std::uint64_t columns = 1;
  std::uint32_t address = 0;
  std::uint32_t row_step = 0;
  std::uint32_t plane_pitch = 0;
  std::uint32_t part = 0;                          // blocks below the first one in its word
  std::optional<std::uint32_t> residual_offset{};  // from a result to its residual, if it has one
};

/// The banks, where the output unit goes before store engines, and these before loaders; the lower port goes first.
class FeatureBanks {
 public:
  explicit FeatureBanks(const Config& config);

  /// Lets the output unit write the results of another COMPUTE, slice by slice; returns the cycle of the last write. A
  /// residual waits while a result is written to its bank, and then all behind it wait too.
  std::int64_t add(const OutputStream& stream);
  /// The cycle in which a store engine reads a word that it asks for from `from` on.
  double read(double from, std::uint32_t address);
  /// Likewise a loader that writes, if that is before `limit`: later cycles may be wanted by a lower port.
  std::optional<double> write(double from, std::uint32_t address, double limit);

 private:
  struct Cycle {
    std::int64_t number = -1;
    std::uint32_t output = 0;  // banks that the output unit uses
    std::uint32_t reads = 0;
    std::uint32_t writes = 0;
  };
  struct Access {
    std::int64_t cycle;
    std::uint32_t banks;
  };
  static constexpr std::size_t remembered = 4096;

  std::uint32_t bank(std::uint32_t address) const { return std::uint32_t{1} << (address & (banks_ - 1)); }
  void add_group(const OutputStream& stream, std::uint64_t block, std::uint64_t group);
  std::uint32_t banks_of(const OutputStream& stream, std::uint32_t address, std::uint64_t lane) const;
  void read_residual(std::uint32_t banks);
  void take(std::deque<Access>& accesses, std::int64_t cycle);
  /// Banks that the output unit uses in a cycle.
  std::uint32_t output(std::int64_t cycle);
  Cycle& at(std::int64_t cycle);

  std::uint32_t lanes_;
  std::uint32_t word_parts_;
  std::uint32_t banks_;
  std::uint32_t slice_pixels_;
  std::int64_t entered_ = -1;      // when the output unit's latest slice entered, were it written at once
  std::int64_t residual_at_ = -1;  // when its latest residual was read
  std::int64_t written_at_ = -1;   // when its latest slice was written
  std::deque<Access> results_;     // slices whose cycle has not come
  std::deque<Access> residuals_;
  std::size_t results_before_ = 0;  // results that are written before the latest residual is read
  std::array<Cycle, remembered> cycles_{};
};

}  // namespace cosoc::conv2d
