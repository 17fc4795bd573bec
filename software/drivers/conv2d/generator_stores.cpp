/// STORE of a pass and of whole tensors.
#include "drivers/conv2d/pass_generator.hpp"

namespace cosoc::conv2d {

void Generator::store(const Tile& tile, const Region& region, std::int64_t begin, std::int64_t first_word,
                      std::int64_t words, std::int64_t row_pitch, std::int64_t plane) {
  if (tile.stored_rows.size() == 0 || tile.stored_columns.size() == 0) return;
  const Transfer transfer = transfer_of(places_.out, pass_.out_shape, tile.image, pass_.rows, pass_.columns,
                                        tile.stored_rows, tile.stored_columns, true);
  const MaxPooling pooling = pass_.pooling.value_or(MaxPooling{});
  // Windows may reach into rows of the tile before, which lie above when all results share a region.
  const std::int64_t origin = tile.stored_rows.begin * pooling.stride.rows - pooling.padding.top;
  const std::int64_t first_row = tiling_.whole_results ? std::max<std::int64_t>(origin, 0) : tile.out_rows.begin;
  const std::int64_t rows =
      (pass_.computes ? tile.out_rows.end : tile.out_rows.begin + tile.in_rows.size()) - first_row;
  begin -= (tile.out_rows.begin - first_row) * row_pitch;
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
    store.in_rows = static_cast<std::uint16_t>(tile.out_rows.end - first_row);
    store.in_columns = static_cast<std::uint16_t>(tile.out_columns.size());
    store.origin_row = static_cast<std::int8_t>(origin - first_row);
    store.origin_column = static_cast<std::int8_t>(tile.stored_columns.begin * pooling.stride.columns -
                                                   pooling.padding.left - tile.out_columns.begin);
    const double window = static_cast<double>(pooling.window.rows * pooling.window.columns);
    Effect effect = {{}, {transfer.bytes(first_word + word, count)}, transfer.cycles(config_, count) * window};
    add_planes(effect.reads, begin + word * plane, count, plane, std::min(plane, rows * row_pitch));
    engine_.features.use(region, assembler_.emit(store, effect));
  }
}

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

}  // namespace cosoc::conv2d
