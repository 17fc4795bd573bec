/// Elements of one tensor where a condition holds, of another where it does not; all repeat over the output.
#include <bit>
#include <type_traits>

#include "kernels/dense/operation.hpp"

namespace cosoc {
namespace dense {
namespace {

/// A choice without a branch, which a processor could not foresee.
template <class T>
[[gnu::always_inline]] inline T chosen(bool condition, T first, T second) {
  using Wide = std::conditional_t<sizeof(T) == 4, std::uint32_t, std::uint64_t>;
  using Bits = std::conditional_t<sizeof(T) == 1, std::uint8_t, Wide>;
  const auto mask = static_cast<Bits>(-static_cast<Bits>(condition));
  return std::bit_cast<T>(
      static_cast<Bits>((std::bit_cast<Bits>(first) & mask) | (std::bit_cast<Bits>(second) & ~mask)));
}

class Where final : public Operation {
 public:
  explicit Where(const nlohmann::json& attributes) : Operation("where", attributes) {}

  Status check(std::span<const TensorType> inputs, std::span<const TensorType> outputs) const override {
    TypeCheck check(name(), inputs, outputs);
    if (!check.counts(3, 1)) return check.status();
    check.dtype(inputs[0], DType::boolean);
    check_dense(check, inputs[1]);
    check.dtype(inputs[2], inputs[1].dtype);
    check.dtype(outputs[0], inputs[1].dtype);
    for (const TensorType& input : inputs) {
      check.require(broadcasts_to(input.shape, outputs[0].shape),
                    input.describe() + " does not repeat over " + outputs[0].describe());
    }
    return check.status();
  }

  Status run(std::span<const TensorView> inputs, std::span<const TensorView> outputs) const override {
    const auto loops = broadcast_loops<4>(outputs[0].type->shape,
                                          {&inputs[0].type->shape, &inputs[1].type->shape, &inputs[2].type->shape});
    const std::int64_t step = loops.strides[1].back();
    const std::int64_t a_step = loops.strides[2].back();
    const std::int64_t b_step = loops.strides[3].back();
    with_element(outputs[0].type->dtype, [&]<class T>(T) {
      loops.for_each_row([&](const std::array<std::int64_t, 4>& offsets, std::int64_t length) {
        const bool* condition = inputs[0].as<bool>() + offsets[1];
        const T* a = inputs[1].as<T>() + offsets[2];
        const T* b = inputs[2].as<T>() + offsets[3];
        T* out = outputs[0].as<T>() + offsets[0];
        // The usual steps have loops of their own, of which compilers make vectors.
        const auto choose = [&](const auto& first, const auto& second) {
#pragma GCC ivdep
          for (std::int64_t i = 0; i < length; ++i) {
            out[i] = chosen(condition[i], first(i), second(i));
          }
        };
        const auto each = [](const T* from) { return [from](std::int64_t i) { return from[i]; }; };
        const auto same = [](const T* from) { return [value = *from](std::int64_t) { return value; }; };
        if (step == 1 && a_step == 1 && b_step == 1) {
          choose(each(a), each(b));
        } else if (step == 1 && a_step == 0 && b_step == 1) {
          choose(same(a), each(b));
        } else if (step == 1 && a_step == 1 && b_step == 0) {
          choose(each(a), same(b));
        } else {
          for (std::int64_t i = 0; i < length; ++i) out[i] = condition[i * step] ? a[i * a_step] : b[i * b_step];
        }
      });
    });
    return {};
  }
};

}  // namespace
}  // namespace dense

KernelResult make_where(const nlohmann::json& attributes) {
  AttributeReader reader("where", attributes);
  return dense::finish<dense::Where>(reader, attributes);
}

}  // namespace cosoc
