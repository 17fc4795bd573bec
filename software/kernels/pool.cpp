#include "kernels/pool.hpp"

namespace cosoc {

Window read_pool_window(AttributeReader& reader) {
  return {.kernel = reader.integers<2>("kernel", 1, max_window_attribute),
          .stride = reader.integers<2>("stride", 1, max_window_attribute),
          .padding = reader.integers<4>("padding", 0, max_window_attribute)};
}

Status check_pool(std::string_view operation, const Window& window, std::span<const TensorType> inputs,
                  std::span<const TensorType> outputs) {
  TypeCheck check(operation, inputs, outputs);
  if (!check.counts(1, 1)) return check.status();
  check.feature_map(inputs[0]);
  check.feature_map(outputs[0]);
  for (std::size_t axis = 0; axis < 2; ++axis) {
    const bool inside = window.padding[axis] < window.kernel[axis] && window.padding[axis + 2] < window.kernel[axis];
    check.require(inside, "padding must be smaller than the kernel");
  }
  if (!check.good()) return check.status();
  const auto& in = inputs[0].shape;
  const std::int64_t rows = window.positions(0, in[1]);
  const std::int64_t columns = window.positions(1, in[2]);
  check.require(rows > 0 && columns > 0, "the kernel does not fit " + inputs[0].describe() + " with its padding");
  if (check.good()) check.shape(outputs[0], {in[0], rows, columns, in[3]});
  return check.status();
}

std::uint64_t pool_operations(const Window& window, const TensorType& output) {
  return static_cast<std::uint64_t>(output.elements()) * static_cast<std::uint64_t>(window.kernel[0]) *
         static_cast<std::uint64_t>(window.kernel[1]);
}

}  // namespace cosoc
