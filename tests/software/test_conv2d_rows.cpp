/// Convolutions in parts: rows of the output, computed by themselves from rows of the input, have the whole one's bits.
#include <catch2/catch.hpp>

#include "kernels/conv2d_rows.hpp"
#include "software/support.hpp"

using namespace cosoc;
using namespace cosoc::test;

namespace {

struct Layer {
  Conv2DAttributes attributes;
  std::vector<TensorType> inputs;
  TensorType output;
};

/// A layer that fits its input; the kernel's own check says what else it has to keep.
std::optional<Layer> draw(Random& random) {
  Layer layer;
  const std::int64_t depth = random.integer(1, 20);
  const TensorType input = feature_map({1, random.integer(3, 20), random.integer(3, 9), depth}, 0.5F, -3);
  const TensorType weight = feature_map({random.integer(1, 20), random.integer(1, 4), random.integer(1, 3), depth});
  Window& window = layer.attributes.window;
  window.stride = {random.integer(1, 3), random.integer(1, 2)};
  window.dilation = {random.integer(1, 2), random.integer(1, 2)};
  for (auto& side : window.padding) side = random.integer(0, 3);
  layer.inputs = {input, weight, tensor(DType::int32, {weight.shape[0]}), tensor(DType::float32, {weight.shape[0]})};
  Window whole = window;
  whole.kernel = {weight.shape[1], weight.shape[2]};
  TensorType result = feature_map(
      {1, whole.positions(0, input.shape[1]), whole.positions(1, input.shape[2]), weight.shape[0]}, 0.25F, 9);
  if (result.shape[1] < 1 || result.shape[2] < 1) return std::nullopt;
  if (random.integer(0, 1) == 0) {
    layer.attributes.residual_multiplier = random.integer(1, 1 << 17);
    layer.inputs.push_back(result);
    layer.inputs.back().zero_point = 5;
  }
  if (random.integer(0, 1) == 0) {
    Window& pool = layer.attributes.pool.emplace();
    pool.kernel = {random.integer(1, 3), random.integer(1, 3)};
    pool.stride = {random.integer(1, 3), random.integer(1, 3)};
    for (std::size_t i = 0; i < 4; ++i) pool.padding[i] = random.integer(0, pool.kernel[i % 2] - 1);
    if (random.integer(0, 2) == 0) {
      layer.attributes.average = Averaging{random.real(0.05F, 0.5F), result.zero_point, {-100, 90}};
    }
    result.shape[1] = pool.positions(0, result.shape[1]);
    result.shape[2] = pool.positions(1, result.shape[2]);
  }
  layer.output = result;
  if (!Conv2DKernel(layer.attributes).check(layer.inputs, {&layer.output, 1})) return std::nullopt;
  return layer;
}

/// Storage that views of rows point into.
struct Storage {
  Storage(const TensorType& of, Random& random) : type(of), bytes(of.bytes()) {
    random.fill({&type, {.data = bytes.data(), .physical = 0, .size = bytes.size()}});
  }

  /// A view of rows; `part` has their type.
  TensorView view(TensorType& part, Rows rows) {
    part = type;
    part.shape[1] = rows.count();
    const std::size_t row = static_cast<std::size_t>(type.shape[2]) * type.pixel_pitch();
    return {&part, {bytes.data() + static_cast<std::size_t>(rows.begin) * row, 0, part.bytes()}};
  }
  TensorView view() { return {&type, {bytes.data(), 0, bytes.size()}}; }

  TensorType type;
  std::vector<std::byte> bytes;
};

}  // namespace

TEST_CASE("any rows of a convolution by themselves have the bits of the whole one") {
  Random random(20);
  int layers = 0;
  int parts = 0;
  for (int attempt = 0; attempt < 400; ++attempt) {
    const auto layer = draw(random);
    if (!layer) continue;
    ++layers;
    const Conv2DKernel whole(layer->attributes);
    std::vector<Storage> inputs;
    std::vector<TensorView> views;
    inputs.reserve(layer->inputs.size());
    for (const TensorType& type : layer->inputs) {
      Storage& storage = inputs.emplace_back(type, random);
      views.push_back(storage.view());
    }
    for (std::int64_t i = 0; i < layer->output.shape[3]; ++i) {
      views[2].as<std::int32_t>()[i] = static_cast<std::int32_t>(random.integer(-20000, 20000));
      views[3].as<float>()[i] = random.real(1e-3F, 2e-2F);
    }
    Storage expected(layer->output, random);
    const TensorView result = expected.view();
    require_ok(whole.run(views, {&result, 1}));
    // Cut at random places; parts that are not possible are taken from the whole.
    Storage found(layer->output, random);
    found.bytes = expected.bytes;
    for (std::int64_t begin = 0; begin < layer->output.shape[1];) {
      const Rows rows{begin, random.integer(begin + 1, layer->output.shape[1])};
      begin = rows.end;
      const auto part = make_conv2d_rows(whole, layer->inputs, layer->output, rows);
      if (!part) continue;
      std::array<TensorType, 3> types;
      std::vector<TensorView> operands = views;
      operands[0] = inputs[0].view(types[0], part->input);
      if (operands.size() > 4) operands[4] = inputs[4].view(types[1], part->residual);
      const TensorView output = found.view(types[2], rows);
      std::fill_n(output.block.data, output.block.size, std::byte{0x55});
      std::vector<TensorType> operand_types;
      for (const TensorView& operand : operands) operand_types.push_back(*operand.type);
      INFO("layer " << layers << " rows " << rows.begin << " to " << rows.end);
      require_ok(part->kernel->check(operand_types, {output.type, 1}));
      require_ok(part->kernel->run(operands, {&output, 1}));
      ++parts;
    }
    for (std::int64_t pixel = 0; pixel < layer->output.elements() / layer->output.shape[3]; ++pixel) {
      const auto offset = static_cast<std::size_t>(pixel) * layer->output.pixel_pitch();
      const auto channels = static_cast<std::size_t>(layer->output.shape[3]);
      REQUIRE(std::equal(expected.bytes.begin() + static_cast<std::ptrdiff_t>(offset),
                         expected.bytes.begin() + static_cast<std::ptrdiff_t>(offset + channels),
                         found.bytes.begin() + static_cast<std::ptrdiff_t>(offset)));
    }
  }
  CHECK(layers > 150);
  CHECK(parts > 300);
}

TEST_CASE("rows that see nothing but padding are no convolution") {
  Conv2DAttributes attributes;
  attributes.window.padding = {5, 0, 0, 0};
  const Conv2DKernel whole(attributes);
  const std::vector<TensorType> inputs = {feature_map({1, 4, 4, 8}), feature_map({8, 1, 1, 8}),
                                          tensor(DType::int32, {8}), tensor(DType::float32, {8})};
  const TensorType output = feature_map({1, 9, 4, 8});
  require_ok(whole.check(inputs, {&output, 1}));
  CHECK_FALSE(make_conv2d_rows(whole, inputs, output, {0, 5}));
  const auto some = make_conv2d_rows(whole, inputs, output, {0, 6});
  REQUIRE(some);
  CHECK(some->input == Rows{0, 1});
}
