/// Any view of a dense tensor made dense: element (i, j, ..) of the output is the input's element
/// offset + i * strides[0] + j * strides[1] + .. in row-major order. Reshaping, permuting, slicing, expanding, flipping
/// and every chain of these are one such view. With `result` the output has that shape, of as many elements.
#include <cstring>

#include "kernels/dense/operation.hpp"

namespace cosoc {
namespace dense {
namespace {

/// Largest magnitude of strides and offsets: beyond any tensor that fits memory, and sums of eight do not overflow.
constexpr std::int64_t most = std::int64_t{1} << 41;

class Strided final : public Operation {
 public:
  Strided(const nlohmann::json& attributes, Shape shape, Shape strides, std::int64_t offset, Shape result)
      : Operation("strided", attributes),
        shape_(std::move(shape)),
        strides_(std::move(strides)),
        offset_(offset),
        result_(std::move(result)) {}

  Status check(std::span<const TensorType> inputs, std::span<const TensorType> outputs) const override {
    TypeCheck check(name(), inputs, outputs);
    if (!check.counts(1, 1)) return check.status();
    check_dense(check, inputs[0]);
    check.dtype(outputs[0], inputs[0].dtype);
    check.shape(outputs[0], result_.empty() ? shape_ : result_);
    check.require(strides_.size() == shape_.size(),
                  std::to_string(strides_.size()) + " strides for " + std::to_string(shape_.size()) + " axes");
    check.require(fills(outputs[0].elements()),
                  "the axes have another number of elements than " + outputs[0].describe());
    if (!check.good()) return check.status();
    std::int64_t least = offset_;
    std::int64_t greatest = offset_;
    for (std::size_t axis = 0; axis < strides_.size(); ++axis) {
      std::int64_t reach = 0;
      const bool small =
          !__builtin_mul_overflow(shape_[axis] - 1, strides_[axis], &reach) && -most <= reach && reach <= most;
      check.require(small, "stride " + std::to_string(strides_[axis]) + " leads beyond the input");
      if (!check.good()) return check.status();
      (reach < 0 ? least : greatest) += reach;
    }
    check.require(least >= 0 && greatest < inputs[0].elements(), "the view reads elements " + std::to_string(least) +
                                                                     ".." + std::to_string(greatest) + " of " +
                                                                     inputs[0].describe());
    return check.status();
  }

  Status run(std::span<const TensorView> inputs, std::span<const TensorView> outputs) const override {
    Loops<2> loops;
    loops.extents = shape_;
    loops.strides = {row_major(loops.extents), strides_};
    loops.collapse();
    const std::byte* in = inputs[0].block.data + offset_ * static_cast<std::int64_t>(size_of(inputs[0].type->dtype));
    switch (size_of(inputs[0].type->dtype)) {
      case 1:
        copy<std::uint8_t>(loops, reinterpret_cast<const std::uint8_t*>(in), outputs[0]);
        break;
      case 4:
        copy<std::uint32_t>(loops, reinterpret_cast<const std::uint32_t*>(in), outputs[0]);
        break;
      default:
        copy<std::uint64_t>(loops, reinterpret_cast<const std::uint64_t*>(in), outputs[0]);
    }
    return {};
  }

  Work work(std::span<const TensorType> inputs, std::span<const TensorType> outputs) const override {
    return {static_cast<std::uint64_t>(outputs[0].elements()), std::min(inputs[0].bytes(), outputs[0].bytes()) * 2};
  }

 private:
  /// Whether the axes have so many elements.
  bool fills(std::int64_t elements) const {
    for (const std::int64_t size : shape_) {
      if (elements % size != 0) return false;
      elements /= size;
    }
    return elements == 1;
  }

  template <class Word>
  static void copy(const Loops<2>& loops, const Word* in_first, const TensorView& output) {
    using Aliasing [[gnu::may_alias]] = Word;
    auto* out_first = reinterpret_cast<Aliasing*>(output.block.data);
    const auto* from = reinterpret_cast<const Aliasing*>(in_first);
    const std::int64_t step = loops.strides[1].back();
    if (transposes(loops)) return transpose(loops, from, out_first);
    loops.for_each_row([&](const std::array<std::int64_t, 2>& offsets, std::int64_t length) {
      const Aliasing* in = from + offsets[1];
      Aliasing* out = out_first + offsets[0];
      if (step == 1) {
        std::memcpy(out, in, static_cast<std::size_t>(length) * sizeof(Word));
      } else {
        for (std::int64_t i = 0; i < length; ++i) out[i] = in[i * step];
      }
    });
  }

  /// Whether the last two axes swap: the input walks faster along the second last.
  static bool transposes(const Loops<2>& loops) {
    const std::size_t rank = loops.extents.size();
    return rank >= 2 && loops.strides[1][rank - 2] == 1 && loops.strides[1][rank - 1] > 1;
  }

  /// Squares of the last two axes: a cache line of the input serves several rows of the output.
  template <class Word>
  static void transpose(const Loops<2>& loops, const Word* in_first, Word* out_first) {
    constexpr std::int64_t side = 16;
    const std::size_t rank = loops.extents.size();
    const std::int64_t rows = loops.extents[rank - 2];
    const std::int64_t columns = loops.extents[rank - 1];
    const std::int64_t in_step = loops.strides[1][rank - 1];
    const std::int64_t out_step = loops.strides[0][rank - 2];
    Loops<2> outer;
    outer.extents.assign(loops.extents.begin(), loops.extents.end() - 2);
    for (std::size_t i = 0; i < 2; ++i) outer.strides[i].assign(loops.strides[i].begin(), loops.strides[i].end() - 2);
    outer.extents.push_back(1);
    for (Shape& strides : outer.strides) strides.push_back(0);
    outer.for_each_row([&](const std::array<std::int64_t, 2>& offsets, std::int64_t) {
      const Word* in = in_first + offsets[1];
      Word* out = out_first + offsets[0];
      for (std::int64_t top = 0; top < rows; top += side) {
        for (std::int64_t left = 0; left < columns; left += side) {
          const std::int64_t bottom = std::min(top + side, rows);
          const std::int64_t right = std::min(left + side, columns);
          for (std::int64_t row = top; row < bottom; ++row) {
            for (std::int64_t column = left; column < right; ++column) {
              out[row * out_step + column] = in[row + column * in_step];
            }
          }
        }
      }
    });
  }

  Shape shape_;
  Shape strides_;
  std::int64_t offset_;
  Shape result_;
};

}  // namespace
}  // namespace dense

KernelResult make_strided(const nlohmann::json& attributes) {
  AttributeReader reader("strided", attributes);
  const auto shape = reader.list("shape", 1, dense::most);
  const auto strides = reader.list("strides", -dense::most, dense::most);
  const std::int64_t offset = reader.integer("offset", 0, dense::most);
  const auto result = reader.has("result") ? reader.list("result", 1, dense::most) : dense::Shape{};
  return dense::finish<dense::Strided>(reader, attributes, shape, strides, offset, result);
}

}  // namespace cosoc
